'use strict'

const ModuleError = require('module-error')
const rangeOptions = require('./range-options')
const { native, scratch, answer } = require('./native')

/** An async iterator over changes; made by Level#watch. */
class Watch {
  #db
  #opened
  #from
  #keys
  #values
  #range
  /** A promise of the native watch's number, once it was asked for. */
  #id = null
  #ended = false
  #position

  constructor (db, opened, options) {
    this.#db = db
    this.#opened = opened
    this.#from = String(options.from ?? 'now')
    const of = options.sublevel ?? db
    this.#keys = of.keyEncoding(options.keyEncoding)
    this.#values = of.valueEncoding(options.valueEncoding)
    this.#range = rangeOptions(of, options, this.#keys)
    db.attachResource(this)
  }

  #begin () {
    this.#id ??= this.#opened(async db => {
      const packed = scratch.begin()
      packed.bounds(this.#range)
      const [id] = await answer(native.watch(db, packed.length, this.#from))
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
      change.key = this.#keys.decode(this.#range.unprefix(item[2]))
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
