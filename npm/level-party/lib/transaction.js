'use strict'

const ModuleError = require('module-error')
const rangeOptions = require('./range-options')
const { native, scratch, answer } = require('./native')
const { flagsOf, stepOf } = require('./iterator')

/** Entries of a step of an iterator in a transaction, and their bytes. */
const STEP = 1000
const BYTES = 16 * 1024

/** A transaction under way, for the body of Level#transaction; of a database or one of its sublevels. */
class Transaction {
  #id
  #db

  constructor (id, db) {
    this.#id = id
    this.#db = db
  }

  /** This transaction over the keys of a sublevel. */
  of (sublevel) {
    return new Transaction(this.#id, sublevel)
  }

  #key (key, options) {
    this.#db._assertValidKey(key)
    const encoding = this.#db.keyEncoding(options?.keyEncoding)
    return this.#db.prefixKey(encoding.encode(key), encoding.format, false)
  }

  async get (key, options) {
    const values = this.#db.valueEncoding(options?.valueEncoding)
    const length = scratch.begin().add(this.#key(key, options))
    const value = await answer(native.txGet(this.#id, length, values.format === 'utf8' ? 1 : 0))
    return value === undefined ? undefined : decode(values, value)
  }

  async getMany (keys, options) {
    const values = this.#db.valueEncoding(options?.valueEncoding)
    const whole = keys.map(key => this.#key(key, options))
    const packed = scratch.begin()
    packed.all(whole)
    const found = await answer(native.txGetMany(this.#id, packed.length, values.format === 'utf8' ? 1 : 0))
    return found.map(value => value === undefined ? undefined : decode(values, value))
  }

  async has (key, options) {
    return answer(native.txHas(this.#id, scratch.begin().add(this.#key(key, options))))
  }

  put (key, value, options) {
    this.batch([{ type: 'put', key, value }], options)
  }

  del (key, options) {
    this.batch([{ type: 'del', key }], options)
  }

  batch (operations, options) {
    const encoded = operations.map(given => {
      const operation = { ...options, ...given }
      const of = operation.sublevel == null ? this : this.of(operation.sublevel)
      const key = of.#key(operation.key, operation)
      if (operation.type === 'del') return { key }
      if (operation.type !== 'put') {
        throw new TypeError("A batch operation must have a type property that is 'put' or 'del'")
      }
      of.#db._assertValidValue(operation.value)
      return { key, value: of.#db.valueEncoding(operation.valueEncoding).encode(operation.value) }
    })
    const packed = scratch.begin()
    for (const { key, value } of encoded) packed.operation(key, value)
    native.txBatch(this.#id, packed.length)
  }

  async * iterator (options) {
    const keys = this.#db.keyEncoding(options?.keyEncoding)
    const values = this.#db.valueEncoding(options?.valueEncoding)
    const range = rangeOptions(this.#db, options, keys)
    const flags = flagsOf({
      keys: true,
      values: options?.values !== false,
      keyEncoding: keys.format,
      valueEncoding: values.format,
      reverse: options?.reverse
    })
    const packed = scratch.begin()
    packed.bounds(range)
    const walk = native.txIterator(this.#id, packed.length, flags)
    let left = options?.limit >= 0 ? options.limit : Infinity
    try {
      while (left > 0) {
        const given = await answer(native.nextv(walk, Math.min(left, STEP), BYTES))
        const { isEnd, entries } = stepOf(given, true, options?.values !== false)
        for (const [key, value] of entries) {
          left--
          yield [decode(keys, range.unprefix(key)), value === undefined ? undefined : decode(values, value)]
        }
        if (isEnd) return
      }
    } finally {
      native.give(walk)
    }
  }

  async * keys (options) {
    for await (const [key] of this.iterator({ ...options, values: false })) yield key
  }

  async * values (options) {
    for await (const [, value] of this.iterator({ ...options, values: true })) yield value
  }
}

const decode = function (encoding, data) {
  try {
    return encoding.decode(data)
  } catch (cause) {
    throw new ModuleError('Could not decode data', { code: 'LEVEL_DECODE_ERROR', cause })
  }
}

exports.transaction = async function (db, id, body, sync) {
  const tx = native.transaction(id, sync)
  try {
    let value
    while (await answer(native.attempt(tx))) value = await body(new Transaction(tx, db))
    return value
  } finally {
    native.abandon(tx)
  }
}
