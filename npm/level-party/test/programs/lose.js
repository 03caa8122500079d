'use strict'

// Makes iterators, snapshots and a database, and loses them: node --expose-gc lose.js LOCATION

const { Level } = require('../..')
const { native } = require('../../lib/native')

const count = () => Number(native.count())
const turn = () => new Promise(resolve => setImmediate(resolve))

const collect = async function (until) {
  while (!until()) {
    // What a WeakRef has shown lives until the turn is over.
    await turn()
    global.gc()
    await turn()
  }
}

const lose = async function (db) {
  for (let i = 0; i < 100; i++) {
    await db.iterator().next()
    db.snapshot()
  }
  return count()
}

const open = async function (location) {
  const db = new Level(location)
  await db.put('a', '1')
  return new WeakRef(db)
}

const run = async function () {
  const [location] = process.argv.slice(2)
  const db = new Level(location)
  await db.put('a', '1')
  const before = count()
  const during = await lose(db)
  await collect(() => count() <= before + 10)
  const after = count()
  const lost = await open(location + '-lost')
  await turn()
  await collect(() => lost.deref() === undefined && count() <= before)
  // It has handed the directory back: one that must not lead finds nobody to join.
  const other = new Level(location + '-lost', { lead: 'join', openTimeout: 1 })
  let role
  while (role === undefined) {
    const err = await other.open().catch(err => err)
    if (err?.cause?.kind === 'NoLeader') role = 'closed'
    else await other.close()
  }
  process.send({ before, during, after, role })
  await db.close()
}

run()
