'use strict'

// The encodings of level-codec that abstract-level does not have by the same name.

const ofBuffer = function (name) {
  return {
    name: `level-party-${name}`,
    format: 'buffer',
    encode: data => Buffer.isBuffer(data) ? data : Buffer.from(String(data), name),
    decode: buffer => buffer.toString(name)
  }
}

const ENCODINGS = {
  binary: 'buffer',
  'utf-8': 'utf8',
  id: 'buffer',
  none: 'buffer',
  ascii: ofBuffer('ascii'),
  latin1: ofBuffer('latin1'),
  ucs2: ofBuffer('ucs2'),
  'ucs-2': ofBuffer('ucs2'),
  utf16le: ofBuffer('utf16le'),
  'utf-16le': ofBuffer('utf16le')
}

/** An encoding as abstract-level takes it. */
exports.encoding = function (given) {
  return typeof given === 'string' ? ENCODINGS[given] ?? given : given
}

/** Options of a call, with encodings as abstract-level takes them. */
exports.options = function (given) {
  if (typeof given === 'string') return { valueEncoding: exports.encoding(given) }
  const options = { ...given }
  for (const name of ['keyEncoding', 'valueEncoding']) {
    if (options[name] != null) options[name] = exports.encoding(options[name])
  }
  return options
}
