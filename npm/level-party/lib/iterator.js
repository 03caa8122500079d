'use strict'

const { AbstractIterator } = require('abstract-level')
const { native, scratch, answer, paced } = require('./native')
const { AbortError } = require('./errors')
const { given } = require('./resource')

const WITH_KEYS = 1
const WITH_VALUES = 2
const UTF8_KEYS = 4
const UTF8_VALUES = 8
const REVERSE = 16

/** How many entries next() has ready for the following calls, after the first. */
const AHEAD = 1000
/** Of larger entries fewer: a step ends after the entry that goes over so many bytes. */
const BYTES = 16 * 1024
const LARGEST = 0x7fffffff

/** What is wanted of a walk, as a number. Without keys and values the keys are counted, and left out here. */
exports.flagsOf = function (options) {
  let flags = 0
  if (options.keys || !options.values) flags |= WITH_KEYS
  if (options.values) flags |= WITH_VALUES
  if (options.keyEncoding === 'utf8') flags |= UTF8_KEYS
  if (options.valueEncoding === 'utf8') flags |= UTF8_VALUES
  if (options.reverse) flags |= REVERSE
  return flags
}

/** The entries of a step, which came one part after the other. */
exports.entriesOf = function (parts, keys, values) {
  const entries = []
  const length = parts.length - 1 // The last one says whether this is the end.
  if (keys && values) {
    for (let i = 0; i < length; i += 2) entries.push([parts[i], parts[i + 1]])
  } else if (keys) {
    for (let i = 0; i < length; i++) entries.push([parts[i], undefined])
  } else if (values) {
    for (let i = 0; i < length; i++) entries.push([undefined, parts[i]])
  } else {
    for (let i = 0; i < length; i++) entries.push([undefined, undefined])
  }
  return entries
}

class Iterator extends AbstractIterator {
  #id
  #give
  #keys
  #values
  #bytes
  #cache = []
  #position = 0
  #first = true
  #end = false
  #signal

  constructor (db, options, begin) {
    super(db, options)
    this.#keys = options.keys
    this.#values = options.values
    this.#bytes = Math.min(options.highWaterMarkBytes ?? BYTES, LARGEST)
    this.#signal = options.signal ?? null
    const packed = scratch.begin()
    packed.bounds(options)
    try {
      this.#id = begin(packed.length, exports.flagsOf(options))
    } catch (err) {
      db.detachResource(this)
      throw err
    }
    this.#give = given(this, this.#id, db)
  }

  _seek (target, options) {
    this.#cache = []
    this.#position = 0
    this.#first = true
    this.#end = false
    native.seek(this.#id, scratch.begin().add(target))
  }

  _next () {
    if (this.#position < this.#cache.length) return this.#cache[this.#position++]
    if (this.#end) return undefined
    // Often one entry is all that is wanted, also after a seek.
    const size = this.#first ? 1 : AHEAD
    this.#first = false
    return this.#step(size, entries => {
      this.#cache = entries
      this.#position = 1
      return entries[0]
    })
  }

  _nextv (size, options) {
    this.#first = false
    if (this.#position < this.#cache.length) {
      const from = this.#position
      this.#position = Math.min(from + size, this.#cache.length)
      return this.#cache.slice(from, this.#position)
    }
    if (this.#end) return []
    return this.#step(size, entries => entries)
  }

  #step (size, use) {
    const result = native.nextv(this.#id, Math.min(size, LARGEST), this.#bytes)
    const take = parts => {
      this.#end = parts[parts.length - 1]
      return use(exports.entriesOf(parts, this.#keys, this.#values))
    }
    if (this.#signal !== null) return this.#abortable(answer(result)).then(take)
    if (typeof result === 'number') return answer(result).then(take)
    return paced(take(result), result.length >>> 2)
  }

  /** What a call gave, unless the signal comes before it. */
  #abortable (result) {
    const signal = this.#signal
    return new Promise((resolve, reject) => {
      const abort = () => reject(new AbortError(signal.reason))
      signal.addEventListener('abort', abort, { once: true })
      Promise.resolve(result)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', abort))
    })
  }

  async _close () {
    this.#cache = []
    this.#position = 0
    this.#give()
  }

  /** How many entries next() has ready; for tests. */
  get cached () {
    return this.#cache.length - this.#position
  }
}

exports.Iterator = Iterator
