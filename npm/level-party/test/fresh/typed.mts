import assert from 'assert'
import level, { Level, RaveLevel, type LevelError, type WatchItem } from 'level-party'

const db = new Level<string, { n: number }>('data-mts', { valueEncoding: 'json', cacheSize: 1 << 20 })
await db.put('a', { n: 1 })
const value: { n: number } | undefined = await db.get('a')
assert.equal(value?.n, 1)
const users = db.sublevel('users')
const next: number = await db.transaction(async tx => {
  const n = ((await tx.get('a'))?.n ?? 0) + 1
  tx.put('a', { n })
  tx.of(users).put('ada', '1815')
  return n
})
assert.equal(next, 2)
const seen: Array<WatchItem<string, { n: number }>> = []
const watch = db.watch({ gte: 'a', from: 'beginning' })
for await (const item of watch) {
  seen.push(item)
  if (seen.length === 2) break
}
assert.equal(seen[1].type, 'put')
const { swapped, value: held } = await db.compareAndSwap('a', { n: 1 }, undefined)
assert(!swapped && held?.n === 2)
try {
  await new Level('data-mts-none', { createIfMissing: false }).open()
  assert.fail()
} catch (err) {
  const cause = (err as Error).cause as LevelError
  assert.equal(cause.kind, 'NotFound')
}
const rave: RaveLevel = new RaveLevel('data-mts')
assert.equal((await rave.partyStatus()).members.length, 1)
const handle = level('data-mts', { valueEncoding: 'json' })
handle.get('a', (err, found) => {
  if (err) throw err
  assert.equal(found.n, 2)
  console.log('mts')
})
