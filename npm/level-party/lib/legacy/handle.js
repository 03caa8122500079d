'use strict'

// The handle of `require('level-party')(dir, options)`: callbacks or promises, streams and events, as they were.

const { EventEmitter } = require('events')
const { Level } = require('../level')
const { told, callbackOf } = require('./callbacks')
const { options: optionsOf } = require('./encodings')
const { named, notFound } = require('./errors')
const { ReadStream, WriteStream, range } = require('./streams')
const { Iterator } = require('./iterator')
const { Store } = require('./store')

/** A call's options: its callback may stand in their place. */
const given = options => typeof options === 'function' ? {} : optionsOf(options)

/** What a database emits, and a handle too. */
const FORWARDED = ['leader', 'follower', 'leaderLost', 'steppedDown', 'losses', 'trouble', 'opening', 'closing', 'closed']

class Handle extends EventEmitter {
  #level
  type = 'levelup'

  constructor (dir, options, callback) {
    super()
    this.setMaxListeners(Infinity)
    this.#level = new Level(dir, { retry: true, ...given(options) })
    /** The store underneath, for packages that look for one. */
    this.db = new Store(this.#level)
    for (const event of FORWARDED) {
      this.#level.on(event, (...what) => this.emit(event, ...what))
    }
    this.#level.on('open', () => {
      this.emit('open')
      this.emit('ready')
    })
    this.open(callback ?? (err => {
      if (err) this.emit('error', err)
    }))
  }

  /** The same database with the API of abstract-level. */
  get level () {
    return this.#level
  }

  get status () {
    return this.#level.status
  }

  get supports () {
    return { ...this.db.supports, status: true, deferredOpen: true, openCallback: true, promises: true, streams: true }
  }

  open (options, callback) {
    callback = callbackOf(options, callback)
    const open = async () => {
      try {
        await this.#level.open(given(options))
      } catch (err) {
        throw named('OpenError', err)
      }
      return this
    }
    return told(open(), callback)
  }

  close (callback) {
    return told(this.#level.close(), callback)
  }

  isOpen () {
    return this.#level.status === 'open'
  }

  isOpening () {
    return this.#level.status === 'opening'
  }

  isClosed () {
    return /^clos/.test(this.#level.status)
  }

  isOperational () {
    return this.isOpen() || this.isOpening()
  }

  /** Makes a call, and has its failure named as levelup did. */
  #call (name, callback, make) {
    const call = async () => {
      try {
        return await make()
      } catch (err) {
        throw err.notFound ? err : named(name, err)
      }
    }
    return told(call(), callback)
  }

  get (key, options, callback) {
    return this.#call('ReadError', callbackOf(options, callback), async () => {
      const value = await this.#level.get(key, given(options))
      if (value === undefined) throw notFound(key)
      return value
    })
  }

  getMany (keys, options, callback) {
    return this.#call('ReadError', callbackOf(options, callback), () => this.#level.getMany(keys, given(options)))
  }

  put (key, value, options, callback) {
    return this.#call('WriteError', callbackOf(options, callback), async () => {
      await this.#level.put(key, value, given(options))
      this.emit('put', key, value)
    })
  }

  del (key, options, callback) {
    return this.#call('WriteError', callbackOf(options, callback), async () => {
      await this.#level.del(key, given(options))
      this.emit('del', key)
    })
  }

  batch (operations, options, callback) {
    if (arguments.length === 0) return new Batch(this)
    return this.#call('WriteError', callbackOf(operations, options, callback), async () => {
      await this.#level.batch(operations.map(operation => optionsOf(operation)), given(options))
      this.emit('batch', operations)
    })
  }

  clear (options, callback) {
    return this.#call('WriteError', callbackOf(options, callback), async () => {
      await this.#level.clear(range(given(options)))
      this.emit('clear', given(options))
    })
  }

  iterator (options) {
    return new Iterator(this, this.#level.iterator(range(options)))
  }

  createReadStream (options) {
    const wanted = range(options)
    return new ReadStream(this.#level.iterator(wanted), wanted)
  }

  createKeyStream (options) {
    return this.createReadStream({ ...options, keys: true, values: false })
  }

  createValueStream (options) {
    return this.createReadStream({ ...options, keys: false, values: true })
  }

  createWriteStream (options) {
    return new WriteStream(operations => this.batch(operations), given(options))
  }

  readStream (options) { return this.createReadStream(options) }
  keyStream (options) { return this.createKeyStream(options) }
  valueStream (options) { return this.createValueStream(options) }
  writeStream (options) { return this.createWriteStream(options) }

  // By this packages of its day tell a handle.
  toString () {
    return 'LevelUP'
  }

  _isOpening () { return this.isOpening() }
}

/** A batch that grows by calls. */
class Batch {
  #handle
  #operations = []

  constructor (handle) {
    this.#handle = handle
    this.db = handle.db
  }

  get length () {
    return this.#operations.length
  }

  put (key, value, options) {
    this.#operations.push({ ...options, type: 'put', key, value })
    return this
  }

  del (key, options) {
    this.#operations.push({ ...options, type: 'del', key })
    return this
  }

  clear () {
    this.#operations = []
    return this
  }

  write (options, callback) {
    const operations = this.#operations
    this.#operations = []
    return this.#handle.batch(operations, options, callback)
  }
}

exports.Handle = Handle
