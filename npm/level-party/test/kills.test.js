'use strict'

// Real processes on one directory, four that put and two that get, whose leaders are killed.

const { test } = require('node:test')
const assert = require('assert')
const path = require('path')
const readline = require('readline')
const { spawn } = require('child_process')
const { once } = require('events')
const { Level } = require('..')
const { temporary } = require('./temporary')

const KILLS = Number(process.env.LEVEL_PARTY_KILLS ?? 50)

class Program {
  lines = []
  #heard = []

  constructor (file, args) {
    const program = path.join(__dirname, 'programs', file)
    this.child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.errors = ''
    this.child.stderr.on('data', data => { this.errors += data })
    this.over = once(this.child, 'close')
    readline.createInterface({ input: this.child.stdout }).on('line', line => {
      this.lines.push(line)
      for (const heard of this.#heard.splice(0)) heard()
    })
    this.over.then(() => {
      for (const heard of this.#heard.splice(0)) heard()
    })
  }

  /** Waits for one more line than there are, or the program's end. */
  async line () {
    const before = this.lines.length
    while (this.lines.length === before && this.child.exitCode === null && this.child.signalCode === null) {
      await new Promise(resolve => this.#heard.push(resolve))
    }
  }

  async kill () {
    this.child.kill('SIGKILL')
    await this.over
  }
}

test(`puts survive ${KILLS} killed leaders, and reads never go back`, async function () {
  const location = temporary()
  let names = 0
  const all = []
  const start = kind => {
    const name = `p${names++}`
    const program = new Program(`${kind}.js`, kind === 'put' ? [location, name] : [location])
    Object.assign(program, { kind, name })
    all.push(program)
    return program
  }
  let running = ['put', 'put', 'put', 'put', 'get', 'get'].map(start)
  await Promise.all(running.map(program => program.line()))
  const watcher = new Level(location, { valueEncoding: 'json', lead: 'never' })
  await watcher.open()

  const pids = new Set()
  while (pids.size < KILLS) {
    const { leaderPid } = await watcher.partyStatus()
    const leader = running.find(program => program.child.pid === leaderPid)
    if (leader === undefined || leader.child.signalCode !== null) continue
    await leader.kill()
    assert.equal(leader.child.signalCode, 'SIGKILL', `it ended by itself: ${leader.errors}`)
    pids.add(leaderPid)
    const next = start(leader.kind)
    running = running.map(program => program === leader ? next : program)
    // All of the others go on.
    await Promise.all(running.map(program => program.line()))
  }
  for (const program of running) {
    assert.equal(program.child.exitCode, null, program.errors)
    await program.kill()
  }

  let highest = 0
  let acknowledged = 0
  for (const { kind, name, lines } of all) {
    if (kind !== 'put') continue
    for (const line of lines) {
      const [a, n] = line.split(' ').map(Number)
      highest = Math.max(highest, a)
      acknowledged++
      assert.equal(watcher.getSync(`${name}/${n}`), n)
    }
  }
  assert(watcher.getSync('a') >= highest)
  assert(acknowledged > KILLS)
  await watcher.close()
})
