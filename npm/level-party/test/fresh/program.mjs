import assert from 'assert'
import level, { Level, ClassicLevel, RaveLevel } from 'level-party'

const db = new Level('data-mjs')
await db.put('a', '1')
assert.equal(await db.get('a'), '1')
assert.equal(ClassicLevel, Level)
assert(new RaveLevel('data-mjs') instanceof Level)
assert.equal(await level('data-mjs').get('a'), '1')
await db.close()
console.log('mjs')
