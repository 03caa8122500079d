'use strict'

// What Level has beyond abstract-level and classic-level.

const { test, before, after } = require('node:test')
const assert = require('assert')
const fs = require('fs')
const path = require('path')
const { fork, spawn } = require('child_process')
const { once } = require('events')
const { Level } = require('..')
const { temporary } = require('./temporary')

// An open database alone keeps no process alive, and some of these tests wait for its events.
let alive
before(() => { alive = setInterval(() => {}, 1000) })
after(() => clearInterval(alive))

/** A process of its own that has `location` open. */
const other = async function (location, how = 'stay') {
  const child = fork(path.join(__dirname, 'programs', 'hold.js'), [location, how])
  const [{ role }] = await once(child, 'message')
  return { child, role }
}

test('a transaction counts exactly, whoever else counts', async function () {
  const location = temporary()
  const dbs = [1, 2].map(() => new Level(location))
  const count = async db => {
    for (let i = 0; i < 100; i++) {
      await db.transaction(async tx => {
        const n = await tx.get('n', { valueEncoding: 'json' }) ?? 0
        await new Promise(resolve => setImmediate(resolve))
        tx.put('n', n + 1, { valueEncoding: 'json' })
      })
    }
  }
  await Promise.all(dbs.map(count))
  assert.equal(await dbs[0].get('n'), '200')
  await Promise.all(dbs.map(db => db.close()))
})

test('a transaction sees its own writes, and writes nothing when its body throws', async function () {
  const db = new Level(temporary())
  const users = db.sublevel('users', { valueEncoding: 'json' })
  await db.batch([{ type: 'put', key: 'a', value: '1' }, { type: 'put', key: 'b', value: '2' }])
  await assert.rejects(db.transaction(async tx => {
    tx.put('a', 'x')
    throw new Error('no')
  }), /^Error: no$/)
  assert.equal(await db.get('a'), '1')
  let kept
  await db.transaction(async tx => {
    kept = tx
    tx.of(users).put('ada', { born: 1815 })
    tx.batch([{ type: 'del', key: 'b' }, { type: 'put', key: 'alan', value: { born: 1912 }, sublevel: users }])
    assert.deepEqual(await tx.getMany(['a', 'b']), ['1', undefined])
    assert.equal(await tx.has('b'), false)
    const entries = []
    for await (const entry of tx.of(users).iterator()) entries.push(entry)
    assert.deepEqual(entries, [['ada', { born: 1815 }], ['alan', { born: 1912 }]])
    const keys = []
    for await (const key of tx.of(users).keys({ reverse: true, limit: 1 })) keys.push(key)
    assert.deepEqual(keys, ['alan'])
  })
  assert.deepEqual(await users.get('alan'), { born: 1912 })
  await assert.rejects(kept.get('a'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await db.close()
})

test('compareAndSwap swaps what it expects, and tells what else there is', async function () {
  const db = new Level(temporary(), { valueEncoding: 'json' })
  assert.deepEqual(await db.compareAndSwap('a', undefined, 1), { swapped: true, value: undefined })
  assert.deepEqual(await db.compareAndSwap('a', undefined, 2), { swapped: false, value: 1 })
  assert.deepEqual(await db.compareAndSwap('a', 1, undefined), { swapped: true, value: undefined })
  assert.equal(await db.get('a'), undefined)
  await db.close()
})

test('a watch tells the changes of all processes, and goes on from a position', async function () {
  const location = temporary()
  const db = new Level(location)
  const watch = await db.watch({ gte: 'h', lt: 'i' }).ready()
  const { child } = await other(location, 'idle')
  const { value } = await watch.next()
  assert.deepEqual([value.type, value.key, value.value], ['put', 'held', String(child.pid)])
  await db.batch().put('h1', 'x').del('held').put('z', '').write()
  const { position } = (await watch.next()).value
  await watch.close()
  assert.deepEqual(await watch.next(), { done: true, value: undefined })
  for await (const item of db.watch({ from: position })) {
    assert.deepEqual([item.type, item.key], ['del', 'held'])
    break
  }
  const users = db.sublevel('users', { valueEncoding: 'json' })
  const theirs = await db.watch({ sublevel: users, gt: 'a' }).ready()
  await db.batch().put('b', '1').put('a', 1, { sublevel: users }).put('b', { n: 2 }, { sublevel: users }).write()
  const { value: seen } = await theirs.next()
  assert.deepEqual([seen.key, seen.value], ['b', { n: 2 }])
  await theirs.close()
  const pending = db.watch()
  await pending.ready()
  const end = pending.next()
  await db.close()
  assert.equal((await end).done, true)
})

test('events and status tell who leads, and leadership can be yielded', async function () {
  const location = temporary()
  const db = new Level(location)
  assert.deepEqual(await once(db, 'leader'), [{ epoch: 1 }])
  assert.equal(db.role, 'leader')
  const { child, role } = await other(location)
  assert.equal(role, 'follower')
  const status = await db.partyStatus()
  assert.equal(status.leaderPid, process.pid)
  assert.deepEqual(status.members.map(({ pid }) => pid).sort(), [process.pid, child.pid].sort())
  const events = Promise.all([once(db, 'steppedDown'), once(db, 'follower')])
  const yielded = await db.yieldLeadership()
  assert.deepEqual([yielded.leaderPid, yielded.handedOver], [child.pid, true])
  await events
  const again = once(db, 'leader')
  const lost = once(db, 'leaderLost')
  child.kill('SIGKILL')
  const [{ leaderPid }] = await lost
  assert.equal(leaderPid, child.pid)
  await again
  await db.close()
})

test('a checkpoint is a database of the same entries, and verify finds nothing wrong', async function () {
  const db = new Level(temporary())
  await db.put('a', '1')
  const copy = temporary()
  assert.equal(await db.checkpoint(copy), 1)
  await db.put('a', '2')
  const of = new Level(copy)
  assert.equal(await of.get('a'), '1')
  const { problems, losses } = await db.verify()
  assert.deepEqual([problems, losses, await db.losses(), await db.acknowledgeLosses()], [[], [], [], []])
  await db.compactRange('a', 'z')
  assert(await db.approximateSize('a', 'z') > 0)
  assert.match(db.getProperty('leveldb.stats'), /./)
  await of.close()
  await db.close()
})

test('errors have codes and kinds', async function () {
  const file = temporary()
  fs.writeFileSync(file, '')
  const cause = async (location, options) => (await new Level(location, options).open().catch(err => err)).cause
  const missing = await cause(temporary(), { createIfMissing: false })
  assert.deepEqual([missing.code, missing.kind], ['LEVEL_NOT_FOUND', 'NotFound'])
  const alone = await cause(temporary(), { lead: 'join', openTimeout: 2000 })
  assert.deepEqual([alone.code, alone.kind, alone.retryable], ['LEVEL_NO_LEADER', 'NoLeader', true])
  const large = await cause(temporary(), { cacheSize: 'large' })
  assert.equal(large.code, 'LEVEL_INVALID_ARGUMENT')
  assert.match(large.message, /"large"/)
  assert.match((await cause(temporary(), { timeout: Infinity })).message, /'timeout' must be a finite number/)
  assert.equal((await cause(path.join(file, 'below'))).code, 'ENOTDIR')

  const db = new Level(temporary())
  await db.put('a', '1')
  const viewer = new Level(db.location, { rejectWrites: true })
  await assert.rejects(viewer.put('a', '2'), { code: 'LEVEL_READ_ONLY', kind: 'ReadOnly', hadNoEffect: true })
  await viewer.close()
  await db.close()
})

test('classic-level in another process is refused, and refuses', async function () {
  const location = temporary()
  const source = `
    const { ClassicLevel } = require('classic-level')
    const db = new ClassicLevel(process.argv[1])
    db.open().then(() => { console.log('open'); setInterval(() => {}, 1000) }, err => console.log(err.cause.code))`
  const classic = () => spawn(process.execPath, ['-e', source, location], { cwd: __dirname, stdio: ['ignore', 'pipe', 'inherit'] })
  const first = classic()
  assert.equal(String((await once(first.stdout, 'data'))[0]).trim(), 'open')
  const db = new Level(location, { openTimeout: 3000 })
  const { cause } = await db.open().catch(err => err)
  assert.deepEqual([cause.code, cause.kind], ['LEVEL_LOCKED', 'Locked'])
  assert.match(cause.message, new RegExp(String(first.pid)))
  first.kill()
  await once(first, 'exit')
  await db.open()
  const second = classic()
  assert.equal(String((await once(second.stdout, 'data'))[0]).trim(), 'LEVEL_LOCKED')
  await db.close()
})

test('classic-level in the same process is refused, and refuses', async function () {
  const { ClassicLevel } = require('classic-level')
  const location = temporary()
  const db = new Level(location, { openTimeout: 3000 })
  await db.put('a', '1')
  const classic = new ClassicLevel(location)
  assert.equal((await classic.open().catch(err => err)).cause.code, 'LEVEL_LOCKED')
  // Its attempt has not taken anything away.
  assert.equal(await db.get('a'), '1')
  assert.equal((await classic.open().catch(err => err)).cause.code, 'LEVEL_LOCKED')
  await db.close()
  await classic.open()
  assert.equal(await classic.get('a'), '1')
  const { cause } = await db.open().catch(err => err)
  assert.deepEqual([cause.code, cause.kind], ['LEVEL_LOCKED', 'Locked'])
  await classic.put('a', '2')
  await classic.close()
  await db.open()
  assert.equal(await db.get('a'), '2')
  await db.close()
})

test('writes take effect in the order of their calls, those with sync among them', async function () {
  const db = new Level(temporary())
  await db.open()
  const watch = await db.watch().ready()
  const calls = []
  for (let i = 0; i < 300; i++) calls.push(db.put('a', String(i), { sync: i % 7 === 0 }))
  for (let i = 0; i < 300; i++) assert.equal((await watch.next()).value.value, String(i))
  await Promise.all(calls)
  await db.close()
})

test('reads and writes that wait for nothing leave the loop its turns', async function () {
  const db = new Level(temporary())
  await db.put('a', '1')
  let turns = 0
  const count = () => {
    turns++
    immediate = setImmediate(count)
  }
  let immediate = setImmediate(count)
  for (let i = 0; i < 10000; i++) await db.get('a')
  assert(turns >= 10, `${turns} turns`)
  turns = 0
  for (let i = 0; i < 1000; i++) await db.put('a', '1')
  assert(turns >= 3, `${turns} turns`)
  clearImmediate(immediate)
  await db.close()
})

test('a write that waits for a stopped process lets the loop go on', async function () {
  const location = temporary()
  const { child } = await other(location)
  const db = new Level(location)
  await db.put('a', '1')
  // Nobody answers in the leader; this process reads and writes on by itself.
  child.kill('SIGSTOP')
  assert.equal(await db.get('a'), '1')
  const compacting = db.compactRange('a', 'z')
  let turns = 0
  while (turns < 100) await new Promise(resolve => setImmediate(() => resolve(turns++)))
  child.kill('SIGCONT')
  await compacting
  child.kill()
  await once(child, 'exit')
  await db.close()
})

test('large keys, values and batches go through, and the scratch buffer shrinks again', async function () {
  const { scratch } = require('../lib/native')
  const db = new Level(temporary(), { valueEncoding: 'buffer' })
  const value = Buffer.alloc(3 << 20, 7)
  await db.put('k'.repeat(100000), value)
  assert(scratch.bytes.length >= value.length)
  assert(value.equals(await db.get('k'.repeat(100000))))
  await db.get('a')
  assert(scratch.bytes.length < 1 << 20)
  await assert.rejects(db.put('a', Buffer.alloc(65 << 20)), { code: 'LEVEL_INVALID_ARGUMENT' })
  await db.close()
})

test('keys and values of any string come back', async function () {
  const db = new Level(temporary())
  const strings = ['a', 'ä', '€uro', '😀'.repeat(40), 'x'.repeat(31) + 'é', '\u0000\u007f\u0080\u07ff\u0800\uffff', 'z'.repeat(5000)]
  for (const string of strings) {
    await db.put(string, string)
    assert.equal(await db.get(string), string)
    assert.equal(db.getSync(string), string)
  }
  assert.deepEqual(await db.getMany(strings), strings)
  assert.deepEqual(new Set(await db.keys().all()), new Set(strings))
  await db.close()
})
