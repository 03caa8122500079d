'use strict'

const { AbstractLevel } = require('abstract-level')
const fsp = require('fs/promises')
const { native, scratch, answer, Calls, open, lost } = require('./native')
const { Iterator } = require('./iterator')
const { Snapshot } = require('./snapshot')
const { ChainedBatch } = require('./chained-batch')
const { Watch } = require('./watch')
const { transaction } = require('./transaction')
const { emitEvents } = require('./events')
const { report } = require('./report')
const { weakly, weaklyOf } = require('./resource')
const { notOpen } = require('./errors')

/** Options that the native side takes as they are. */
const OPTIONS = [
  'createIfMissing', 'errorIfExists', 'cacheSize', 'writeBufferSize', 'blockSize', 'maxFileSize', 'bloomBitsPerKey',
  'watchHistoryBytes', 'mapTables', 'retry', 'rejectWrites', 'sync', 'lead', 'openTimeout', 'timeout', 'queueBytes', 'whenFull'
]

const SYNC = 1
const AS_OPENED = 2

/** The option `sync` of a write, as a number. */
const syncOf = function (options) {
  return options.sync == null ? AS_OPENED : options.sync ? SYNC : 0
}

const checkLocation = function (location) {
  if (typeof location !== 'string' || location === '') {
    throw new TypeError("The first argument 'location' must be a non-empty string")
  }
}

/** Closes a database that nobody has any more, and so nobody is told of a failure. */
const closeLost = async function (id) {
  try {
    await answer(native.close(id))
  } catch {}
}

class Level extends AbstractLevel {
  #location
  #id = 0
  #lost = {}
  #calls = new Calls()

  constructor (location, options) {
    checkLocation(location)
    super({
      encodings: { buffer: true, utf8: true, view: true },
      has: true,
      createIfMissing: true,
      errorIfExists: true,
      explicitSnapshots: true,
      getSync: true,
      additionalMethods: {
        approximateSize: true,
        compactRange: true
      },
      events: {
        leader: true,
        follower: true,
        leaderLost: true,
        steppedDown: true,
        losses: true,
        trouble: true,
        missed: true
      },
      signals: { iterators: true }
    }, options)
    this.#location = location
  }

  get location () {
    return this.#location
  }

  /** What this process is at the moment: 'leader', 'follower' or 'electing'; undefined where the database is not open. */
  get role () {
    return this.#id === 0 ? undefined : native.role(this.#id)
  }

  async _open (options) {
    if (options.createIfMissing) await fsp.mkdir(this.#location, { recursive: true })
    const asked = {}
    for (const name of OPTIONS) {
      const value = options[name]
      if (value == null) continue
      // JSON has no such numbers.
      if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`The option '${name}' must be a finite number`)
      asked[name] = value
    }
    const { compression } = options
    if (compression != null) {
      asked.compression = compression === true ? 'snappy' : compression === false ? 'none' : compression
    }
    let id
    try {
      ;[id] = await answer(native.open(this.#location, JSON.stringify(asked)))
    } catch (err) {
      if (err.kind === 'NotFound') err.message = `${this.#location} does not exist as a database: ${err.message}`
      throw err
    }
    this.#id = id
    open.add(id)
    lost.register(this, function () {
      if (open.delete(id)) closeLost(id)
    }, this.#lost)
    emitEvents(this, id)
  }

  async _close () {
    await this.#calls.end()
    const id = this.#id
    this.#id = 0
    open.delete(id)
    lost.unregister(this.#lost)
    await answer(native.close(id))
  }

  attachResource (resource) {
    const isWeak = resource instanceof Iterator || resource instanceof Snapshot
    super.attachResource(isWeak ? weakly(resource) : resource)
  }

  detachResource (resource) {
    super.detachResource(weaklyOf(resource))
  }

  _put (key, value, options) {
    const packed = scratch.begin()
    const length = packed.add(key)
    return this.#calls.paced(native.put(this.#id, length, packed.add(value), syncOf(options)), 4)
  }

  _del (key, options) {
    return this.#calls.paced(native.del(this.#id, scratch.begin().add(key), syncOf(options)), 4)
  }

  _batch (operations, options) {
    const packed = scratch.begin()
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]
      packed.operation(operation.key, operation.type === 'put' ? operation.value : undefined)
    }
    return this.#calls.paced(native.batch(this.#id, packed.length, syncOf(options)), 4 + operations.length)
  }

  _chainedBatch () {
    return new ChainedBatch(this, (bytes, options) => {
      const length = scratch.begin().add(bytes)
      return this.#calls.paced(native.batch(this.#id, length, syncOf(options)), 4 + (length >>> 7))
    })
  }

  _get (key, options) {
    const utf8 = options.valueEncoding === 'utf8' ? 1 : 0
    return this.#calls.paced(native.get(this.#id, scratch.begin().add(key), utf8, Snapshot.id(options.snapshot)), 1)
  }

  _getSync (key, options) {
    const utf8 = options.valueEncoding === 'utf8' ? 1 : 0
    return native.getSync(this.#id, scratch.begin().add(key), utf8, Snapshot.id(options.snapshot))
  }

  _getMany (keys, options) {
    const utf8 = options.valueEncoding === 'utf8' ? 1 : 0
    const packed = scratch.begin()
    packed.all(keys)
    return this.#calls.paced(native.getMany(this.#id, packed.length, utf8, Snapshot.id(options.snapshot)), keys.length)
  }

  _has (key, options) {
    return this.#calls.paced(native.has(this.#id, scratch.begin().add(key), Snapshot.id(options.snapshot)), 1)
  }

  _hasMany (keys, options) {
    const packed = scratch.begin()
    packed.all(keys)
    return this.#calls.paced(native.hasMany(this.#id, packed.length, Snapshot.id(options.snapshot)), keys.length)
  }

  _clear (options) {
    const packed = scratch.begin()
    packed.bounds(options)
    const limit = Number.isInteger(options.limit) && options.limit >= 0 ? String(options.limit) : ''
    const reverse = options.reverse ? 1 : 0
    return this.#calls.answer(native.clear(this.#id, packed.length, reverse, limit, Snapshot.id(options.snapshot)))
  }

  _iterator (options) {
    return new Iterator(this, options, (packed, flags) => {
      return native.iterator(this.#id, packed, flags, Snapshot.id(options.snapshot))
    })
  }

  _snapshot (options) {
    return new Snapshot(this, this.#id, options)
  }

  /** Runs `use` with the database's number once it is open. */
  async #opened (method, use) {
    if (this.status === 'opening') return this.deferAsync(() => this.#opened(method, use))
    if (this.status !== 'open') throw notOpen(method)
    return use(this.#id)
  }

  #range (start, end, options) {
    const encoding = this.keyEncoding(options?.keyEncoding)
    const packed = scratch.begin()
    packed.bounds({ gte: encoding.encode(start), lt: encoding.encode(end) })
    return packed.length
  }

  async approximateSize (start, end, options) {
    if (arguments.length < 2) throw new TypeError("The arguments 'start' and 'end' are required")
    return this.#opened('approximateSize', async id => {
      return Number(await this.#calls.answer(native.approximateSize(id, this.#range(start, end, options))))
    })
  }

  async compactRange (start, end, options) {
    if (arguments.length < 2) throw new TypeError("The arguments 'start' and 'end' are required")
    return this.#opened('compactRange', id => this.#calls.answer(native.compactRange(id, this.#range(start, end, options))))
  }

  getProperty (property) {
    if (typeof property !== 'string') throw new TypeError("The first argument 'property' must be a string")
    if (this.status !== 'open') throw notOpen('getProperty')
    return native.property(this.#id, property) ?? ''
  }

  /** Who leads, who else has the database open, and how it is. */
  async partyStatus () {
    return this.#opened('partyStatus', async id => report(await this.#calls.answer(native.status(id))))
  }

  /** Looks at every block of every table. */
  async verify () {
    return this.#opened('verify', async id => report(await this.#calls.answer(native.verify(id))))
  }

  /** What openings left out or set aside because of damage, a sentence each. */
  async losses () {
    return this.#opened('losses', async id => report(await this.#calls.answer(native.losses(id))))
  }

  /** Forgets the losses, and gives what they were. */
  async acknowledgeLosses () {
    return this.#opened('acknowledgeLosses', async id => report(await this.#calls.answer(native.acknowledgeLosses(id))))
  }

  /** Makes a copy of this moment in the directory `location`. */
  async checkpoint (location) {
    checkLocation(location)
    return this.#opened('checkpoint', async id => Number(await this.#calls.answer(native.checkpoint(id, location))))
  }

  /** Has the leading process hand over to another one. */
  async yieldLeadership () {
    return this.#opened('yieldLeadership', async id => report(await this.#calls.answer(native.yieldLeadership(id))))
  }

  /** Sets `key` to `next` (undefined: removes it) if it holds `expected` (undefined: nothing), for all processes at once. */
  async compareAndSwap (key, expected, next, options) {
    return this.#opened('compareAndSwap', async id => {
      this._assertValidKey(key)
      const keys = this.keyEncoding(options?.keyEncoding)
      const values = this.valueEncoding(options?.valueEncoding)
      const all = [keys.encode(key)]
      let parts = 0
      if (expected !== undefined) parts |= 1
      if (next !== undefined) parts |= 2
      if (expected !== undefined) all.push(values.encode(expected))
      if (next !== undefined) all.push(values.encode(next))
      const packed = scratch.begin()
      packed.all(all)
      const utf8 = values.format === 'utf8' ? 1 : 0
      const [swapped, held] = await this.#calls.answer(native.compareAndSwap(id, packed.length, parts, utf8))
      return { swapped, value: held === undefined ? undefined : values.decode(held) }
    })
  }

  /** Runs `body` until what it read was changed by nobody else meanwhile; what it wrote then takes effect at one moment. */
  async transaction (body, options) {
    if (typeof body !== 'function') throw new TypeError("The first argument 'body' must be a function")
    return this.#opened('transaction', id => transaction(this, id, body, syncOf(options ?? {})))
  }

  /** The committed changes of all processes, in order; of the keys of `options.sublevel`, if that is given. */
  watch (options) {
    return new Watch(this, use => this.#opened('watch', use), options ?? {})
  }

  static async destroy (location) {
    checkLocation(location)
    try {
      return report(await answer(native.destroy(location)))
    } catch (err) {
      // There is nothing to remove: no failure, as in LevelDB.
      if (err.kind === 'NotFound') return { removed: [], left: [], directoryRemoved: false }
      throw err
    }
  }

  static async repair (location) {
    checkLocation(location)
    try {
      return report(await answer(native.repair(location)))
    } catch (err) {
      if (err.kind === 'NotFound') err.message = `No such file or directory: ${err.message}`
      throw err
    }
  }
}

exports.Level = Level
