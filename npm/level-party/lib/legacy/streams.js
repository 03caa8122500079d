'use strict'

const { Readable, Writable } = require('stream')
const { options: optionsOf } = require('./encodings')

/** Range options with the bounds `start` and `end` of old. */
exports.range = function (given) {
  const { start, end, ...options } = optionsOf(given)
  const [first, last] = options.reverse ? [end, start] : [start, end]
  if (first != null && options.gte === undefined && options.gt === undefined) options.gte = first
  if (last != null && options.lte === undefined && options.lt === undefined) options.lte = last
  return options
}

/** The entries of an iterator: as `{ key, value }`, or keys or values alone. */
class ReadStream extends Readable {
  #iterator
  #keys
  #values

  constructor (iterator, { keys = true, values = true, highWaterMark = 16 }) {
    super({ objectMode: true, highWaterMark })
    this.#iterator = iterator
    this.#keys = keys
    this.#values = values
  }

  _read (size) {
    this.#iterator.nextv(size).then(entries => {
      if (this.destroyed) return
      for (const [key, value] of entries) {
        this.push(this.#keys && this.#values ? { key, value } : this.#keys ? key : value)
      }
      if (entries.length === 0) this.push(null)
    }).catch(err => this.destroy(err))
  }

  _destroy (err, callback) {
    this.#iterator.close().then(() => callback(err), callback)
  }
}

/** Puts and deletes; what comes together is written as one batch. */
class WriteStream extends Writable {
  #write
  #defaults

  constructor (write, { type = 'put', highWaterMark = 16, ...defaults }) {
    super({ objectMode: true, highWaterMark })
    this.#write = write
    this.#defaults = { type, ...defaults }
  }

  _write (operation, encoding, callback) {
    this._writev([{ chunk: operation }], callback)
  }

  _writev (chunks, callback) {
    const operations = chunks.map(({ chunk }) => ({ ...this.#defaults, ...optionsOf(chunk) }))
    this.#write(operations).then(() => callback(), callback)
  }
}

exports.ReadStream = ReadStream
exports.WriteStream = WriteStream
