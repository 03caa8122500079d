'use strict'

// The handle of require('level-party')(dir, options).

const { test } = require('node:test')
const assert = require('assert')
const fs = require('fs')
const path = require('path')
const readline = require('readline')
const { execFileSync, spawn } = require('child_process')
const { once } = require('events')
const { promisify } = require('util')
const level = require('..')
const { temporary } = require('./temporary')

const open = async function (options) {
  const db = level(temporary(), options)
  await once(db, 'open')
  return db
}

const collect = async function (stream) {
  const items = []
  for await (const item of stream) items.push(item)
  return items
}

test('calls take callbacks or give promises', async function () {
  const db = await open({ valueEncoding: 'json' })
  await db.put('a', { n: 1 })
  await promisify((key, value, callback) => db.put(key, value, callback))('b', [2])
  assert.deepEqual(await promisify((key, callback) => db.get(key, callback))('a'), { n: 1 })
  assert.equal(await db.get('b', { valueEncoding: 'utf8' }), '[2]')
  assert.deepEqual(await promisify((keys, callback) => db.getMany(keys, callback))(['a', 'c']), [{ n: 1 }, undefined])
  await promisify((operations, callback) => db.batch(operations, callback))([{ type: 'del', key: 'a' }])
  await promisify(callback => db.batch().put('d', 4).del('b').write(callback))()
  assert.deepEqual(await collect(db.createReadStream()), [{ key: 'd', value: 4 }])
  await promisify((options, callback) => db.clear(options, callback))({ gte: 'd' })
  assert.deepEqual(await collect(db.createKeyStream()), [])
  await promisify(callback => db.close(callback))()
  assert(db.isClosed())
})

test('a missing key is an error with notFound', async function () {
  const db = await open()
  const err = await db.get('a').catch(err => err)
  assert.deepEqual([err.notFound, err.status, err.name], [true, 404, 'NotFoundError'])
  await db.close()
  assert.equal((await db.put('a', '1').catch(err => err)).name, 'WriteError')
})

test('what a callback throws is an uncaught exception', function () {
  const source = `
    process.on('uncaughtException', err => { console.log(err.message); process.exit() })
    process.on('unhandledRejection', () => process.exit(1))
    require(process.argv[1])(process.argv[2]).put('a', '1', () => { throw new Error('from the callback') })`
  const told = execFileSync(process.execPath, ['-e', source, path.join(__dirname, '..'), temporary()])
  assert.equal(String(told), 'from the callback\n')
})

test('streams take ranges, old and new, and a write stream writes', async function () {
  const db = await open({ keyEncoding: 'utf8', valueEncoding: 'json' })
  const stream = db.createWriteStream()
  for (const key of ['a', 'b', 'c', 'd']) stream.write({ key, value: key.charCodeAt(0) })
  stream.write({ type: 'del', key: 'd' })
  stream.end()
  await once(stream, 'finish')
  assert.deepEqual(await collect(db.createKeyStream()), ['a', 'b', 'c'])
  assert.deepEqual(await collect(db.createValueStream({ reverse: true, limit: 2 })), [99, 98])
  assert.deepEqual(await collect(db.createKeyStream({ start: 'b', end: 'c' })), ['b', 'c'])
  assert.deepEqual(await collect(db.createKeyStream({ start: 'b', end: 'a', reverse: true })), ['b', 'a'])
  assert.deepEqual(await collect(db.createReadStream({ gt: 'a', lt: 'c' })), [{ key: 'b', value: 98 }])
  const cut = db.createReadStream()
  await once(cut, 'data')
  cut.destroy()
  await once(cut, 'close')
  await db.close()
})

test('iterators have next, seek and end', async function () {
  const db = await open()
  await db.batch([{ type: 'put', key: 'a', value: '1' }, { type: 'put', key: 'b', value: '2' }])
  const iterator = db.iterator()
  iterator.seek('b')
  const entry = await new Promise((resolve, reject) => {
    iterator.next((err, key, value) => err ? reject(err) : resolve([key, value]))
  })
  assert.deepEqual(entry, ['b', '2'])
  assert.equal(await iterator.next(), undefined)
  await iterator.end()
  assert.deepEqual(await collect(db.iterator()), [['a', '1'], ['b', '2']])
  await db.close()
})

test('encodings are those of its day', async function () {
  const db = await open({ keyEncoding: 'binary', valueEncoding: 'hex' })
  await db.put(Buffer.from([1]), 'ff00')
  assert.deepEqual(await db.get(Buffer.from([1]), { valueEncoding: 'binary' }), Buffer.from([255, 0]))
  await db.put(Buffer.from([2]), 'é', { valueEncoding: 'ucs2' })
  assert.deepEqual(await db.get(Buffer.from([2]), { valueEncoding: 'buffer' }), Buffer.from('é', 'ucs2'))
  const custom = { type: 'reversed', buffer: false, encode: s => [...s].reverse().join(''), decode: s => [...s].reverse().join('') }
  await db.put('key', 'abc', { keyEncoding: custom, valueEncoding: custom })
  assert.equal(await db.get('yek', { keyEncoding: 'utf8', valueEncoding: 'utf8' }), 'cba')
  await db.close()
})

test('it emits what happens', async function () {
  const db = level(temporary())
  const leader = once(db, 'leader')
  await Promise.all([once(db, 'open'), once(db, 'ready'), leader])
  const put = once(db, 'put')
  await db.put('a', '1')
  assert.deepEqual(await put, ['a', '1'])
  const closed = once(db, 'closed')
  await db.close()
  await closed
})

test('an opening that fails is told the callback, or emitted', async function () {
  const options = { createIfMissing: false }
  const err = await new Promise(resolve => level(temporary(), options, resolve))
  assert.deepEqual([err.name, err.kind], ['OpenError', 'NotFound'])
  const [emitted] = await once(level(temporary(), options), 'error').catch(err => [err])
  assert.equal(emitted.name, 'OpenError')
})

test("the README's two programs run as printed", async function () {
  const readme = fs.readFileSync(path.join(__dirname, '..', 'README.md'), 'utf8')
  const [get, put] = [...readme.matchAll(/```js\n([^]*?)```/g)].map(([, program]) => program)
  const dir = temporary()
  fs.mkdirSync(path.join(dir, 'node_modules'), { recursive: true })
  fs.symlinkSync(path.join(__dirname, '..'), path.join(dir, 'node_modules', 'level-party'), 'junction')
  fs.writeFileSync(path.join(dir, 'get.js'), get)
  fs.writeFileSync(path.join(dir, 'put.js'), put)
  const start = file => spawn(process.execPath, [path.join(dir, file)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const programs = ['put.js', 'get.js', 'put.js'].map(start)
  const seen = new Set()
  for await (const line of readline.createInterface({ input: programs[1].stdout })) {
    assert.match(line, /^a= (\d+|undefined)$/)
    seen.add(line)
    if (seen.has('a= undefined') ? seen.size > 2 : seen.size > 1) break
  }
  for (const program of programs) {
    assert.equal(program.exitCode, null)
    program.kill()
    await once(program, 'close')
  }
})
