'use strict'

// Figures beside classic-level (one process), and rave-level and level-party 5 (two processes): `node bench/run.js PEERS`, where
// PEERS is a directory with these packages installed (`ci/node bench` makes one). All of them in turn, several rounds; the median
// of each row, as time that passed and as time of the processor that this process took. On a machine that has other work the
// second tells more.

const { fork } = require('child_process')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { once } = require('events')
const { open } = require('./contenders')

const peers = process.argv[2]
if (peers === undefined) throw new Error('usage: node bench/run.js PEERS')
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SPAN = Number(process.env.SPAN ?? 300) // ms of each row and round
const ENTRIES = 50000
const FLIGHT = 64
const BATCH = 1000
const VALUE = 'v'.repeat(100)

const key = n => `key-${String(n).padStart(8, '0')}`
const any = () => key(Math.floor(Math.random() * ENTRIES))
const now = () => Number(process.hrtime.bigint()) / 1e6

/** Has `step`, which does `count` operations, go on for a span; gives microseconds an operation that passed, and of the processor. */
const measure = async function (count, step) {
  const begun = now()
  const before = process.cpuUsage()
  let done = 0
  do {
    await step()
    done += count
  } while (now() - begun < SPAN)
  const { user, system } = process.cpuUsage(before)
  return { wall: (now() - begun) * 1000 / done, cpu: (user + system) / done }
}

const flight = make => {
  const calls = []
  for (let i = 0; i < FLIGHT; i++) calls.push(make())
  return Promise.all(calls)
}

const ROWS = {
  getSync: db => measure(100, () => { for (let i = 0; i < 100; i++) db.getSync(any()) }),
  'await get': db => measure(1, () => db.get(any())),
  [`get, ${FLIGHT} in flight`]: db => measure(FLIGHT, () => flight(() => db.get(any()))),
  'await put': db => measure(1, () => db.put(any(), VALUE)),
  [`put, ${FLIGHT} in flight`]: db => measure(FLIGHT, () => flight(() => db.put(any(), VALUE))),
  [`batch of ${BATCH}, each`]: db => measure(BATCH, () => {
    const operations = []
    for (let i = 0; i < BATCH; i++) operations.push({ type: 'put', key: any(), value: VALUE })
    return db.batch(operations)
  }),
  'iterate, each': db => measure(ENTRIES, () => db.all()),
  'for await, each': db => measure(ENTRIES, () => db.each()),
  'between two turns of the loop, p99': async db => {
    const turns = []
    const times = () => {
      const { user, system } = process.cpuUsage()
      return { wall: now() * 1000, cpu: user + system }
    }
    let last = times()
    const turn = function () {
      const next = times()
      turns.push({ wall: next.wall - last.wall, cpu: next.cpu - last.cpu })
      last = next
      immediate = setImmediate(turn)
    }
    let immediate = setImmediate(turn)
    await measure(1, () => db.get(any()))
    clearImmediate(immediate)
    const p99 = values => values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)]
    return { wall: p99(turns.map(({ wall }) => wall)), cpu: p99(turns.map(({ cpu }) => cpu)) }
  }
}

const median = values => values.sort((a, b) => a - b)[values.length >> 1]

/** Runs `rows` with each contender in turn; gives a median of each. */
const contest = async function (contenders, rows) {
  const figures = {}
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, db] of Object.entries(contenders)) {
      for (const row of rows) {
        if (row === 'getSync' && db.getSync === undefined) continue
        figures[row] ??= {}
        ;(figures[row][name] ??= []).push(await ROWS[row](db))
      }
    }
  }
  return Object.entries(figures).map(([row, of]) => {
    const medians = Object.entries(of).map(([name, all]) => {
      return [name, { wall: median(all.map(({ wall }) => wall)), cpu: median(all.map(({ cpu }) => cpu)) }]
    })
    return [row, Object.fromEntries(medians)]
  })
}

const fill = async function (db) {
  for (let n = 0; n < ENTRIES;) {
    const operations = []
    for (let i = 0; i < 1000; i++) operations.push({ type: 'put', key: key(n++), value: VALUE })
    await db.batch(operations)
  }
}

const show = function (title, names, rows) {
  const one = ({ wall, cpu }) => `${wall.toFixed(2)}${cpu === undefined ? '' : ` (${cpu.toFixed(2)})`}`
  console.log(`\n${title}: microseconds an operation (of the processor), and how many times as much another takes`)
  for (const [row, of] of rows) {
    const [ours, ...others] = names
    const cells = others.filter(name => of[name] !== undefined).map(name => {
      const times = (of[name].wall / of[ours].wall).toFixed(1)
      const timesCpu = of[name].cpu === undefined ? '' : ` (${(of[name].cpu / of[ours].cpu).toFixed(1)}x)`
      return `${name} ${one(of[name])} ${times}x${timesCpu}`
    })
    console.log(`${row.padEnd(38)} ${one(of[ours]).padStart(16)}   ${cells.join('   ')}`)
  }
}

const main = async function () {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'level-party-bench-'))
  try {
    const alone = {}
    for (const name of ['level-party', 'classic-level']) {
      alone[name] = await open(name, peers, path.join(root, `one-${name}`))
      await fill(alone[name])
    }
    show('One process', Object.keys(alone), await contest(alone, Object.keys(ROWS)))
    for (const db of Object.values(alone)) await db.close()

    const beside = {}
    const leaders = []
    for (const name of ['level-party', 'rave-level', 'level-party-5']) {
      const location = path.join(root, `two-${name}`)
      const leader = fork(path.join(__dirname, 'leader.js'), [name, peers, location])
      leaders.push(leader)
      await once(leader, 'message')
      beside[name] = await open(name, peers, location)
      await fill(beside[name])
    }
    const rows = Object.keys(ROWS).filter(row => !row.startsWith('between'))
    show('Beside a leader', Object.keys(beside), await contest(beside, rows))
    for (const db of Object.values(beside)) await db.close()
    for (const leader of leaders) leader.kill()
  } finally {
    fs.rmSync(root, { recursive: true, force: true })
  }
}

main()
