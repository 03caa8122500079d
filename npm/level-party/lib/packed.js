'use strict'

// Keys and values, packed into bytes for the native side; crates/node/src/packed.rs has the layout.

/** Strings up to this length are copied here: a call of Buffer#write costs more. */
const SHORT = 32

class Packer {
  /** @type {Buffer} */
  bytes
  length = 0

  /** @param {Buffer} bytes */
  constructor (bytes) {
    this.bytes = bytes
  }

  /** Makes room for `more` bytes behind what there is. */
  need (more) {
    const length = this.length + more
    if (length <= this.bytes.length) return
    let size = this.bytes.length
    while (size < length) size *= 2
    const bytes = Buffer.from(new ArrayBuffer(size))
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
  }

  /** Adds a key or value, and says how many bytes it has. */
  add (data) {
    if (typeof data === 'string') return this.#string(data)
    const length = data.byteLength
    this.need(length)
    this.bytes.set(data, this.length)
    this.length += length
    return length
  }

  #string (string) {
    const chars = string.length
    this.need(chars * 3)
    const { bytes, length: start } = this
    if (chars <= SHORT) {
      let at = 0
      for (; at < chars; at++) {
        const char = string.charCodeAt(at)
        if (char > 0x7f) break
        bytes[start + at] = char
      }
      if (at === chars) {
        this.length = start + chars
        return chars
      }
    }
    const written = bytes.write(string, start)
    this.length = start + written
    return written
  }

  #number (number, at) {
    const { bytes } = this
    bytes[at] = number
    bytes[at + 1] = number >>> 8
    bytes[at + 2] = number >>> 16
    bytes[at + 3] = number >>> 24
  }

  /** Adds a key or value with its length before it. */
  measured (data) {
    this.need(4)
    const at = this.length
    this.length += 4
    this.#number(this.add(data), at)
  }

  all (keys) {
    for (let i = 0; i < keys.length; i++) this.measured(keys[i])
  }

  /** Adds an operation; without a value it is a delete. */
  operation (key, value) {
    this.need(9)
    const at = this.length
    this.length += 9
    this.bytes[at] = value === undefined ? 0 : 1
    this.#number(this.add(key), at + 1)
    this.#number(value === undefined ? 0 : this.add(value), at + 5)
  }

  #bound (included, excluded) {
    const key = included ?? excluded
    this.need(1)
    this.bytes[this.length++] = key === undefined ? 0 : included !== undefined ? 1 : 2
    this.measured(key ?? '')
  }

  /** Adds the bounds of range options. */
  bounds (range) {
    this.#bound(range.gte, range.gt)
    this.#bound(range.lte, range.lt)
  }
}

exports.Packer = Packer
