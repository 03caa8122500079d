'use strict'

// How processes and threads end, and who leads then.

const { test } = require('node:test')
const assert = require('assert')
const path = require('path')
const cluster = require('cluster')
const { fork } = require('child_process')
const { once } = require('events')
const { Worker } = require('worker_threads')
const { Level } = require('..')
const { temporary } = require('./temporary')

const program = name => path.join(__dirname, 'programs', name)

/** Has another process lead, and ends it in a way; gives the database that leads then, and the other's exit code. */
const succeed = async function (how) {
  const location = temporary()
  const child = fork(program('hold.js'), [location, how], { silent: true })
  const over = once(child, 'exit')
  const [{ role }] = await once(child, 'message')
  assert.equal(role, 'leader')
  const db = new Level(location)
  const leader = once(db, 'leader')
  assert.equal(await db.get('held'), String(child.pid))
  // An open database alone keeps no process alive.
  const alive = setInterval(() => {}, 1000)
  await leader
  clearInterval(alive)
  assert.equal(db.role, 'leader')
  await db.close()
  return { child, over }
}

for (const [how, code, signal] of [
  ['idle', 0, null], ['exit', 7, null], ['throw', 1, null], ['reject', 1, null], ['abort', null, 'SIGABRT']
]) {
  test(`a leading process that ends by ${how} hands over`, async function () {
    const { over } = await succeed(how)
    assert.deepEqual(await over, [code, signal])
  })
}

test('a leading worker that is terminated hands over while its process goes on', async function () {
  const { child, over } = await succeed('terminate')
  assert.equal(child.exitCode, null)
  child.kill()
  await over
})

test('a process with an open database and nothing to do ends', async function () {
  const child = fork(program('hold.js'), [temporary(), 'idle'])
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('worker threads have databases of their own on one directory', async function () {
  const location = temporary()
  const db = new Level(location)
  await db.put('count', '0')
  const source = `
    const { workerData } = require('worker_threads')
    const { Level } = require(workerData.module)
    const db = new Level(workerData.location)
    const run = async () => {
      for (let i = 0; i < 50; i++) {
        await db.transaction(async tx => tx.put('count', String(Number(await tx.get('count')) + 1)))
      }
      await db.close()
    }
    run()`
  const workers = [1, 2, 3].map(() => {
    return new Worker(source, { eval: true, workerData: { location, module: path.join(__dirname, '..') } })
  })
  for (const worker of workers) worker.once('error', err => { throw err })
  await Promise.all(workers.map(worker => once(worker, 'exit')))
  assert.equal(await db.get('count'), '150')
  await db.close()
})

test('workers of a cluster share a directory', async function () {
  const location = temporary()
  const db = new Level(location)
  await db.open()
  cluster.setupPrimary({ exec: program('cluster.js'), args: [location] })
  const workers = [cluster.fork(), cluster.fork()]
  await Promise.all(workers.map(worker => once(worker, 'exit')))
  const put = workers.map(worker => String(worker.process.pid)).sort()
  assert.deepEqual(await db.keys().all(), put)
  await db.close()
})

test('lost iterators, snapshots and databases are given back', async function () {
  const child = fork(program('lose.js'), [temporary()], { execArgv: ['--expose-gc'] })
  const [{ before, during, after, role }] = await once(child, 'message')
  assert(during >= before + 200, `${before}, ${during}`)
  assert(after <= before + 10, `${before}, ${after}`)
  assert.equal(role, 'closed')
  child.kill()
})
