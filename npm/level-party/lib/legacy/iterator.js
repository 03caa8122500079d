'use strict'

const { told } = require('./callbacks')

/** An iterator with callbacks, over one of abstract-level. */
class Iterator {
  #of
  #raw

  constructor (db, of, raw) {
    this.db = db
    this.#of = of
    this.#raw = raw
  }

  next (callback) {
    if (callback === undefined) return this.#next()
    this.#next().then(
      entry => process.nextTick(callback, null, ...(entry ?? [])),
      err => process.nextTick(callback, err)
    )
    return this
  }

  async #next () {
    const entry = await this.#of.next()
    return entry === undefined || this.#raw === undefined ? entry : this.#raw(entry)
  }

  seek (target) {
    this.#of.seek(target)
  }

  end (callback) {
    return told(this.#of.close(), callback)
  }

  async * [Symbol.asyncIterator] () {
    try {
      for (let entry; (entry = await this.#next()) !== undefined;) yield entry
    } finally {
      await this.#of.close()
    }
  }
}

exports.Iterator = Iterator
