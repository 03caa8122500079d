'use strict'

const { AbstractChainedBatch } = require('abstract-level')
const { Packer } = require('./packed')

/** The first size of a batch's bytes. */
const SIZE = 1024

class ChainedBatch extends AbstractChainedBatch {
  #packed = new Packer(Buffer.allocUnsafe(SIZE))
  #write

  /** `write` is told the packed bytes and the options. */
  constructor (db, write) {
    super(db)
    this.#write = write
  }

  _put (key, value) {
    this.#packed.operation(key, value)
  }

  _del (key) {
    this.#packed.operation(key, undefined)
  }

  _clear () {
    this.#packed.length = 0
  }

  async _write (options) {
    const { bytes, length } = this.#packed
    return this.#write(bytes.subarray(0, length), options)
  }

  async _close () {
    this.#packed = null
  }
}

exports.ChainedBatch = ChainedBatch
