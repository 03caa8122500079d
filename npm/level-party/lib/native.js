'use strict'

// The native side: loaded once a thread, and what every call of it goes through.

const { Packer } = require('./packed')
const { library } = require('./library')

const native = library()

/** The scratch buffer's first size. It grows with what is packed, and shrinks again. */
const SCRATCH = 64 * 1024
/** A scratch buffer over this size is given back after the call that needed it. */
const LARGE = 1024 * 1024

class Scratch extends Packer {
  constructor () {
    super(Buffer.from(new ArrayBuffer(SCRATCH)))
    native.pack(this.bytes.buffer)
  }

  need (more) {
    const before = this.bytes
    super.need(more)
    if (before !== this.bytes) native.pack(this.bytes.buffer)
  }

  /** Empties it. */
  begin () {
    this.length = 0
    if (this.bytes.length > LARGE) {
      this.bytes = Buffer.from(new ArrayBuffer(SCRATCH))
      native.pack(this.bytes.buffer)
    }
    return this
  }
}

const scratch = new Scratch()

/** Calls that are not answered yet, by their tickets. */
const waiting = new Map()

native.begin(function wake () {
  const done = native.drain()
  for (let i = 0; i < done.length; i += 3) {
    const call = waiting.get(done[i])
    waiting.delete(done[i])
    if (done[i + 1]) call.resolve(done[i + 2])
    else call.reject(done[i + 2])
  }
})

/** What a call gave, or a promise of it. A number is the ticket of a call that has to wait. */
function answer (result) {
  if (typeof result !== 'number') return result
  return new Promise(function (resolve, reject) {
    waiting.set(result, { resolve, reject })
  })
}

// Answers that are there at once come back in a microtask: a loop of awaits would keep timers and sockets waiting for as long as
// it goes. So after some work one answer waits until the loop was there.

/** Work between two turns of the loop; a get counts 1 and takes about a microsecond. */
const WORK = 128
let work = 0
/** The turn that answers wait for, if they do. */
let turn = null

/** What a call gave, or a promise of it; `weight` says how much work it was. */
function paced (result, weight) {
  if (typeof result === 'number') return answer(result)
  if (turn !== null) return turn.then(() => result)
  work += weight
  if (work < WORK) return result
  turn = new Promise(function (resolve) {
    setImmediate(function () {
      work = 0
      turn = null
      resolve()
    })
  })
  return turn.then(() => result)
}

/** The calls of one database that are not answered: closing it waits for them. */
class Calls {
  #waiting = new Set()

  /** As the function of this name. */
  answer (result) {
    if (typeof result !== 'number') return result
    const promise = answer(result)
    const done = () => this.#waiting.delete(promise)
    this.#waiting.add(promise)
    promise.then(done, done)
    return promise
  }

  /** As the function of this name. */
  paced (result, weight) {
    return typeof result === 'number' ? this.answer(result) : paced(result, weight)
  }

  async end () {
    while (this.#waiting.size > 0) await Promise.allSettled(this.#waiting)
  }
}

// What is open in this thread. A process that exits leaves in order.

const open = new Set()

process.on('exit', function () {
  for (const id of open) {
    try {
      native.closeNow(id)
    } catch {
      // The process ends: the others find out by themselves.
    }
  }
})

/** Gives back what JavaScript has lost: an iterator or a snapshot, or a database, which is then closed. */
const lost = new FinalizationRegistry(function (held) {
  held()
})

exports.native = native
exports.scratch = scratch
exports.answer = answer
exports.paced = paced
exports.Calls = Calls
exports.open = open
exports.lost = lost
