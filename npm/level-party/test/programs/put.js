'use strict'

// Puts `a`, a number that all of these programs raise together, and a key of its own each time; says which puts were
// acknowledged. node put.js LOCATION NAME

const level = require('../..')

const [location, name] = process.argv.slice(2)
const db = level(location, { valueEncoding: 'json' })

const run = async function () {
  for (let n = 0; ; n++) {
    const a = await db.level.transaction(async function (tx) {
      const next = (await tx.get('a') ?? 0) + 1
      tx.put('a', next)
      return next
    })
    await db.put(`${name}/${n}`, n)
    process.stdout.write(`${a} ${n}\n`)
  }
}

run()
