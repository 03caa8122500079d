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
/** The same for all(), which wants everything. */
const ALL_BYTES = 64 * 1024
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

/** A step of a walk: its entries, and whether they are the last. */
exports.stepOf = function (given, keys, values) {
  // Strings come as one JSON text, in which entries of keys and values are pairs already.
  const isText = typeof given === 'string'
  const parts = isText ? JSON.parse(given) : given
  const isEnd = parts.pop()
  return { isEnd, entries: isText && keys && values ? parts : paired(parts, keys, values) }
}

/** Entries of keys, values, or both in turn. */
const paired = function (parts, keys, values) {
  if (!keys || !values) {
    return parts.map(part => [keys ? part : undefined, values ? part : undefined])
  }
  const entries = []
  for (let i = 0; i < parts.length; i += 2) entries.push([parts[i], parts[i + 1]])
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
    return this.#step(size, this.#bytes, entries => {
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
    return this.#step(size, this.#bytes, entries => entries)
  }

  async _all (options) {
    const all = this.#cache.slice(this.#position)
    this.#cache = []
    this.#position = 0
    const bytes = Math.max(this.#bytes, ALL_BYTES)
    for (let left; (left = this.limit - this.count - all.length) > 0 && !this.#end;) {
      const entries = await this.#step(Math.min(left, LARGEST), bytes, entries => entries)
      for (let i = 0; i < entries.length; i++) all.push(entries[i])
    }
    return all
  }

  #step (size, bytes, use) {
    const result = native.nextv(this.#id, Math.min(size, LARGEST), bytes)
    const take = given => {
      const { isEnd, entries } = exports.stepOf(given, this.#keys, this.#values)
      this.#end = isEnd
      return entries
    }
    if (this.#signal !== null) return this.#abortable(answer(result)).then(take).then(use)
    if (typeof result === 'number') return answer(result).then(take).then(use)
    const entries = take(result)
    return paced(use(entries), entries.length >>> 1)
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
