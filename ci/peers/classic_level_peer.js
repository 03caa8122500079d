// LevelDB 1.20 as a peer, through npm's classic-level: speaks the lines of README.md.
// Started with NODE_PATH at the node_modules that hold it. Its tables always have a Bloom filter of 10 bits a key.
'use strict'

const { ClassicLevel } = require('classic-level')
const readline = require('node:readline')

const bytes = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
const unhex = (text) => Buffer.from(text, 'hex')

function operation (word) {
  const [kind, key, value] = word.split(':')
  return kind === 'p' ? { type: 'put', key: unhex(key), value: unhex(value) } : { type: 'del', key: unhex(key) }
}

async function entries (db, options) {
  const lines = []
  for await (const [key, value] of db.iterator({ ...bytes, ...options })) {
    lines.push(key.toString('hex') + ' ' + value.toString('hex') + '\n')
  }
  return lines.join('') + '.'
}

async function answer (db, snapshots, command, words) {
  const moment = words[0] === 'now' ? {} : { snapshot: snapshots.get(words[0]) }
  switch (command) {
    case 'write':
      await db.batch(words.slice(1).map(operation), { ...bytes, sync: words[0] === '1' })
      return 'ok'
    case 'get': {
      const value = await db.get(unhex(words[0].slice(1)), bytes)
      return value === undefined ? 'none' : '=' + value.toString('hex')
    }
    case 'seek':
      return entries(db, { gte: unhex(words[0].slice(1)), limit: 1 })
    case 'forward':
      return entries(db, moment)
    case 'backward':
      return entries(db, { ...moment, reverse: true })
    case 'snapshot':
      snapshots.set(words[0], db.snapshot())
      return 'ok'
    case 'release':
      await snapshots.get(words[0]).close()
      snapshots.delete(words[0])
      return 'ok'
    case 'compact':
      await db.compactRange(Buffer.alloc(0), Buffer.alloc(100, 0xff), bytes)
      return 'ok'
    default:
      throw new Error('no command: ' + command)
  }
}

async function main () {
  const [dir, ...words] = process.argv.slice(2)
  const given = Object.fromEntries(words.map((word) => word.split('=')))
  const db = new ClassicLevel(dir, {
    compression: given.snappy === '1',
    writeBufferSize: Number(given.write_buffer_size),
    blockSize: Number(given.block_size),
    blockRestartInterval: Number(given.block_restart_interval),
    maxFileSize: Number(given.max_file_size)
  })
  await db.open()
  process.stdout.write('open\n')
  const snapshots = new Map()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(' ')
    process.stdout.write(await answer(db, snapshots, command, words) + '\n')
  }
  await db.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
