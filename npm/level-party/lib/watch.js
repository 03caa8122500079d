'use strict'

const ModuleError = require('module-error')
const { native, scratch, answer } = require('./native')

/** An async iterator over changes; made by Level#watch. */
class Watch {
  #db
  #opened
  #options
  #keys
  #values
  /** A promise of the native watch's number, once it was asked for. */
  #id = null
  #ended = false
  #position

  constructor (db, opened, options) {
    this.#db = db
    this.#opened = opened
    this.#options = options
    this.#keys = db.keyEncoding(options.keyEncoding)
    this.#values = db.valueEncoding(options.valueEncoding)
    db.attachResource(this)
  }

  #begin () {
    this.#id ??= this.#opened(async db => {
      const range = {}
      for (const bound of ['gte', 'gt', 'lte', 'lt']) {
        if (this.#options[bound] !== undefined) range[bound] = this.#keys.encode(this.#options[bound])
      }
      const packed = scratch.begin()
      packed.bounds(range)
      const { from = 'now' } = this.#options
      const [id] = await answer(native.watch(db, packed.length, String(from)))
      this.#position = native.watchPosition(id)
      return id
    })
    return this.#id
  }

  /** Resolves once every change that is made from then on will be told. */
  async ready () {
    await this.#begin()
    return this
  }

  /** Up to where everything was told: a watch from there goes on with what comes next. */
  get position () {
    return this.#position
  }

  async next () {
    if (this.#ended) return { done: true, value: undefined }
    const id = await this.#begin()
    const utf8 = encoding => encoding.format === 'utf8' ? 1 : 0
    let item
    try {
      item = await answer(native.watched(id, utf8(this.#keys), utf8(this.#values)))
    } catch (err) {
      if (this.#ended) return { done: true, value: undefined }
      throw err
    }
    if (item === undefined || this.#ended) {
      await this.close()
      return { done: true, value: undefined }
    }
    this.#position = item[0]
    return { done: false, value: this.#decoded(item) }
  }

  #decoded (item) {
    const [position, sequence] = item
    if (item.length === 3) return { type: 'gap', from: Number(sequence), resume: Number(item[2]), position }
    const change = { sequence: Number(sequence), position }
    try {
      change.key = this.#keys.decode(item[2])
      if (item[3] === undefined) return { type: 'del', ...change }
      return { type: 'put', ...change, value: this.#values.decode(item[3]) }
    } catch (cause) {
      throw new ModuleError('Could not decode a change', { code: 'LEVEL_DECODE_ERROR', cause })
    }
  }

  async return () {
    await this.close()
    return { done: true, value: undefined }
  }

  async close () {
    if (this.#ended) return
    this.#ended = true
    this.#db.detachResource(this)
    if (this.#id === null) return
    let id
    try {
      id = await this.#id
    } catch {
      return // It was never there, and next() has told so.
    }
    native.endWatch(id)
  }

  [Symbol.asyncIterator] () {
    return this
  }
}

exports.Watch = Watch
