// npm's abstract-level 3 over classic-level as a peer for sublevels: each line of input is a call as JSON, answered by a
// line of JSON. Keys and values are hexadecimal. Started with NODE_PATH at the node_modules that hold them.
'use strict'

const { ClassicLevel } = require('classic-level')
const readline = require('node:readline')

const bytes = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
const unhex = (text) => Buffer.from(text, 'hex')
const bounds = ['gt', 'gte', 'lt', 'lte']

function rangeOf (call) {
  const range = { ...bytes, reverse: call.reverse === true, limit: call.limit ?? -1 }
  for (const bound of bounds) if (call[bound] !== undefined) range[bound] = unhex(call[bound])
  return range
}

async function answer (db, call) {
  const at = (path, options = bytes) => path.reduce((level, name) => level.sublevel(name, options), db)
  const level = call.path === undefined ? db : at(call.path)
  switch (call.op) {
    case 'prefix':
      return level.prefix ?? ''
    case 'get': {
      const value = await level.get(unhex(call.key), bytes)
      return value === undefined ? null : value.toString('hex')
    }
    case 'batch':
      // One batch over several sublevels; of the root where the path is empty.
      await db.batch(call.writes.map(({ path, key, value }) => ({
        type: value === undefined ? 'del' : 'put',
        key: unhex(key),
        ...(value === undefined ? {} : { value: unhex(value) }),
        ...(path.length === 0 ? bytes : { sublevel: at(path), ...bytes })
      })), bytes)
      return null
    case 'clear':
      await level.clear(rangeOf(call))
      return null
    case 'all': {
      const entries = await level.iterator(rangeOf(call)).all()
      return entries.map(([key, value]) => [key.toString('hex'), value.toString('hex')])
    }
    case 'seek': {
      const iterator = level.iterator(rangeOf(call))
      await iterator.next()
      iterator.seek(unhex(call.key), { keyEncoding: 'buffer' })
      const entry = await iterator.next()
      await iterator.close()
      return entry === undefined ? null : entry[0].toString('hex')
    }
    case 'put json':
      await at(call.path, { keyEncoding: call.keys ?? 'utf8', valueEncoding: 'json' }).put(call.key, call.value)
      return null
    case 'get json':
      return await at(call.path, { keyEncoding: call.keys ?? 'utf8', valueEncoding: 'json' }).get(call.key)
    default:
      throw new Error('no call: ' + call.op)
  }
}

async function main () {
  const db = new ClassicLevel(process.argv[2])
  await db.open()
  process.stdout.write('open\n')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(db, JSON.parse(line))) + '\n')
  }
  await db.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
