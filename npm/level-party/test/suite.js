'use strict'

// abstract-level's own suite, nothing skipped: `node test/suite.js [first | second | killed]`.
//
// As `second`, another process has opened each database before, and leads in it; as `killed`, such processes are killed all
// the time, so that this one takes over in the middle of tests.

const fs = require('fs')
const os = require('os')
const path = require('path')
const assert = require('assert')
const { fork } = require('child_process')
const { once } = require('events')
const test = require('tape')
const suite = require('abstract-level/test')
const { Level } = require('..')

const mode = process.argv[2] ?? 'first'
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'level-party-suite-'))

/** Of this many openings one has the leader killed soon after it. */
const KILL_EACH = 12
/** At the latest so many milliseconds after it. */
const KILL_WITHIN = 20

let followed = 0
let killed = 0

class Keeper {
  #child = fork(path.join(__dirname, 'keeper.js'))
  #answers = new Map()
  alive = true
  kept = 0

  constructor () {
    this.#child.on('message', ({ location, role }) => {
      this.#answers.get(location).resolve(role)
      this.#answers.delete(location)
    })
    this.#child.once('exit', () => {
      this.alive = false
      for (const { reject } of this.#answers.values()) reject(new Error('the keeper has gone'))
      this.#answers.clear()
    })
  }

  ask (call, location) {
    return new Promise((resolve, reject) => {
      this.#answers.set(location, { resolve, reject })
      this.#child.send({ call, location })
    })
  }

  kill () {
    if (!this.alive) return
    this.alive = false
    killed++
    this.#child.kill('SIGKILL')
  }

  async end () {
    if (!this.alive) return
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

let keeper = mode === 'first' ? null : new Keeper()
let standby = mode === 'killed' ? new Keeper() : null

const current = function () {
  if (!keeper.alive) {
    keeper = standby
    standby = new Keeper()
  }
  return keeper
}

/** A database that another process leads in when it is opened. */
class Second extends Level {
  #keeper = null

  async _open (options) {
    // One that is to be missing, or is found and refused, nobody can have open.
    if (options.createIfMissing && !options.errorIfExists) {
      fs.mkdirSync(this.location, { recursive: true })
      while (this.#keeper === null) {
        const keeper = current()
        try {
          assert.equal(await keeper.ask('open', this.location), 'leader')
          this.#keeper = keeper
        } catch (err) {
          if (keeper.alive) throw err
        }
      }
    }
    await super._open(options)
    if (this.#keeper === null) return
    if (mode === 'second') assert.equal(this.role, 'follower')
    if (this.role === 'follower') followed++
    if (mode === 'killed' && ++this.#keeper.kept % KILL_EACH === 0) {
      const of = this.#keeper
      setTimeout(() => of.kill(), Math.random() * KILL_WITHIN)
    }
  }

  async _close () {
    await super._close()
    const keeper = this.#keeper
    this.#keeper = null
    try {
      if (keeper?.alive) await keeper.ask('close', this.location)
    } catch (err) {
      if (keeper.alive) throw err
    }
  }
}

let count = 0
const Factory = mode === 'first' ? Level : Second
suite({
  test,
  factory: options => new Factory(path.join(root, String(count++)), options)
})

test.onFinish(async function () {
  if (mode !== 'first') console.log(`# ${followed} databases were opened beside a leader, ${killed} leaders were killed`)
  if (mode === 'killed') assert(killed > 10, 'leaders were killed')
  await keeper?.end()
  await standby?.end()
  fs.rmSync(root, { recursive: true, force: true })
})
