'use strict'

// The store under a handle, as abstract-leveldown had it: what packages like subleveldown look for behind a handle's `db`. Keys
// and values are strings or Buffers; callbacks alone.

const { told, callbackOf } = require('./callbacks')
const { notFound } = require('./errors')
const { Iterator } = require('./iterator')

const BUFFER = { keyEncoding: 'buffer', valueEncoding: 'buffer' }

const toBuffer = data => Buffer.isBuffer(data) ? data : Buffer.from(String(data))

const optionsOf = options => typeof options === 'object' && options !== null ? options : {}

/** A Buffer, or with `asBuffer: false` a string. */
const as = (asBuffer, data) => data === undefined || asBuffer !== false ? data : data.toString()

class Store {
  #level
  type = 'level-party'

  constructor (level) {
    this.#level = level
  }

  get status () {
    return this.#level.status
  }

  get supports () {
    return { bufferKeys: true, snapshots: true, permanence: true, seek: true, clear: true, getMany: true }
  }

  get (key, options, callback) {
    callback = callbackOf(options, callback)
    const read = async () => {
      const value = await this.#level.get(toBuffer(key), BUFFER)
      if (value === undefined) throw notFound(key)
      return as(optionsOf(options).asBuffer, value)
    }
    return told(read(), callback)
  }

  getMany (keys, options, callback) {
    callback = callbackOf(options, callback)
    const read = async () => {
      const values = await this.#level.getMany(keys.map(toBuffer), BUFFER)
      return values.map(value => as(optionsOf(options).asBuffer, value))
    }
    return told(read(), callback)
  }

  put (key, value, options, callback) {
    callback = callbackOf(options, callback)
    return told(this.#level.put(toBuffer(key), toBuffer(value), { ...optionsOf(options), ...BUFFER }), callback)
  }

  del (key, options, callback) {
    callback = callbackOf(options, callback)
    return told(this.#level.del(toBuffer(key), { ...optionsOf(options), ...BUFFER }), callback)
  }

  batch (operations, options, callback) {
    callback = callbackOf(options, callback)
    const encoded = operations.map(({ type, key, value }) => {
      return type === 'put' ? { type, key: toBuffer(key), value: toBuffer(value) } : { type, key: toBuffer(key) }
    })
    return told(this.#level.batch(encoded, { ...optionsOf(options), ...BUFFER }), callback)
  }

  clear (options, callback) {
    callback = callbackOf(options, callback)
    return told(this.#level.clear({ ...this.#range(optionsOf(options)), ...BUFFER }), callback)
  }

  iterator (given) {
    const options = optionsOf(given)
    const raw = ([key, value]) => [as(options.keyAsBuffer, key), as(options.valueAsBuffer, value)]
    return new Iterator(this, this.#level.iterator({ ...this.#range(options), ...BUFFER }), raw)
  }

  #range (options) {
    const range = { ...options }
    for (const bound of ['gt', 'gte', 'lt', 'lte']) {
      if (range[bound] != null) range[bound] = toBuffer(range[bound])
    }
    return range
  }

  _nextTick (callback, ...values) {
    process.nextTick(callback, ...values)
  }

  // By these a store is told from other objects.
  _batch (...given) { return this.batch(...given) }
  _iterator (options) { return this.iterator(options) }
}

exports.Store = Store
