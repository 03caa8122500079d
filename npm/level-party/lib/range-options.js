'use strict'

/** The bounds among `options`, encoded, of whole keys; `unprefix` makes a whole key one of `db` again. */
module.exports = function (db, options, encoding) {
  const range = {}
  for (const bound of ['gte', 'gt', 'lte', 'lt']) {
    if (options?.[bound] !== undefined) range[bound] = whole(db, encoding.encode(options[bound]), encoding.format)
  }
  const prefix = db.prefix ?? ''
  if (prefix !== '') {
    if (range.gte === undefined && range.gt === undefined) range.gte = prefix
    // A prefix ends with its separator: the character after that is behind all of its keys.
    if (range.lte === undefined && range.lt === undefined) {
      range.lt = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
    }
  }
  range.unprefix = key => key.slice(prefix.length)
  return range
}

const whole = function (db, key, format) {
  return db.prefixKey(key, format, false)
}
