'use strict'

// Directories that classic-level wrote are read and written here, and the other way.

const { test } = require('node:test')
const assert = require('assert')
const { ClassicLevel } = require('classic-level')
const { Level } = require('..')
const { temporary } = require('./temporary')

const fill = async function (db, from) {
  const users = db.sublevel('users', { valueEncoding: 'json' })
  const nested = users.sublevel('by-year', { keyEncoding: 'buffer' })
  const operations = []
  for (let i = from; i < from + 2000; i++) {
    operations.push({ type: 'put', key: `key-${i}`, value: String(i).repeat(50) })
    operations.push({ type: 'put', sublevel: users, key: `u${i}`, value: { i } })
    operations.push({ type: 'put', sublevel: nested, key: Buffer.from([i >>> 8, i]), value: '' })
    if (i % 3 === 0) operations.push({ type: 'del', key: `key-${i - 1}` })
  }
  await db.batch(operations)
  await db.put(Buffer.from([0xff, 0, 0xfe]), Buffer.alloc(100, from), { keyEncoding: 'buffer', valueEncoding: 'view' })
}

const all = async function (db) {
  const users = db.sublevel('users', { valueEncoding: 'json' })
  const nested = users.sublevel('by-year', { keyEncoding: 'buffer' })
  return [
    await db.iterator({ keyEncoding: 'hex', valueEncoding: 'hex' }).all(),
    await users.get('u1'),
    await nested.keys({ reverse: true, limit: 3 }).all()
  ]
}

for (const [one, another] of [[ClassicLevel, Level], [Level, ClassicLevel]]) {
  test(`${another.name} goes on with what ${one.name} wrote`, async function () {
    const location = temporary()
    const expected = []
    for (const [of, from] of [[one, 1], [another, 5000], [one, 500]]) {
      const db = new of(location) // eslint-disable-line new-cap
      if (expected.length > 0) assert.deepEqual(await all(db), expected.pop())
      await fill(db, from)
      expected.push(await all(db))
      await db.close()
    }
    const db = new another(location) // eslint-disable-line new-cap
    assert.deepEqual(await all(db), expected.pop())
    await db.close()
  })
}
