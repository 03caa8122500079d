'use strict'

const assert = require('assert')
const level = require('level-party')
const { Level, ClassicLevel, RaveLevel } = require('level-party')

const run = async function () {
  const db = new Level('data-cjs')
  await db.put('a', '1')
  assert.equal(await db.get('a'), '1')
  assert.equal(ClassicLevel, Level)
  assert(new RaveLevel('data-cjs') instanceof Level)
  const handle = level('data-cjs')
  assert.equal(await handle.get('a'), '1')
  await handle.close()
  await db.close()
  console.log('cjs')
}

run()
