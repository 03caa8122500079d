// Speaks docs/EXEC.md from Node, with nothing but what comes with it: a database that several programs share.
//
// Usage: exec.mjs PROGRAM DIR

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** One handle: a `level-party exec` process. Calls are promises; the answers come in the order of the requests. */
class Party {
  #waiting = []
  #calls = 0
  events = []

  constructor (program, directory) {
    this.process = spawn(program, ['exec', directory], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.process.stdin.on('error', () => {}) // It was killed: its calls are told so below.
    this.ended = once(this.process, 'exit')
    this.ended.then(() => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the program has gone'))
    })
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      const answer = JSON.parse(line)
      if (!('ok' in answer)) return this.events.push(answer)
      const { id, resolve } = this.#waiting.shift()
      assert.equal(answer.id, id)
      resolve(answer)
    })
  }

  call (request) {
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      this.process.stdin.write(JSON.stringify({ id, ...request }) + '\n')
    })
  }

  async close () {
    this.process.stdin.end()
    assert.deepEqual(await this.ended, [0, null])
  }
}

const [program, directory] = process.argv.slice(2)
const leader = new Party(program, directory)
assert.equal((await leader.call({ op: 'status' })).role, 'leader')
const other = new Party(program, directory)
assert.equal((await other.call({ op: 'status' })).role, 'follower')

// Any bytes, in sublevels, in one write.
const raw = { base64: Buffer.from([0, 255, 128]).toString('base64') }
const ops = [
  { type: 'put', sublevel: ['users'], key: 'ada', value: raw },
  { type: 'put', sublevel: ['names'], key: 'é', value: 'ü\0' }
]
assert.equal((await leader.call({ op: 'batch', ops })).ok, true)
assert.deepEqual((await other.call({ op: 'get', sublevel: ['users'], key: 'ada' })).value, raw)
assert.equal((await other.call({ op: 'get', sublevel: ['names'], key: 'é' })).value, 'ü\0')

// A hundred calls in flight, a watch on them, and the leader is killed in the middle.
const watch = await other.call({ op: 'watch', prefix: 'n' })
const key = (n) => `n${String(n).padStart(3, '0')}`
const puts = Array.from({ length: 100 }, (_, n) => other.call({ op: 'put', key: key(n), value: String(n) }))
await puts[49]
leader.process.kill('SIGKILL')
for (const answer of await Promise.all(puts)) assert.equal(answer.ok, true)
await leader.ended
assert.equal((await other.call({ op: 'status' })).role, 'leader')
while (other.events.length < 100) await new Promise(setImmediate)
assert.deepEqual(other.events.map((event) => event.key), puts.map((_, n) => key(n)))
assert.equal((await other.call({ op: 'unwatch', watch: watch.id })).ok, true)

// A mistake is answered, and the dialogue goes on.
assert.equal((await other.call({ op: 'get' })).error.kind, 'InvalidArgument')
assert.equal((await other.call({ op: 'clear', prefix: 'n' })).removed, 100)
await other.close()
console.log('spoken')
