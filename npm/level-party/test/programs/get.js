'use strict'

// Gets `a` all the time, which must never go back. node get.js LOCATION

const level = require('../..')

const db = level(process.argv[2], { valueEncoding: 'json' })
let last = 0

const run = async function () {
  for (;;) {
    const a = await db.get('a').catch(function (err) {
      if (err.notFound) return 0
      throw err
    })
    if (a < last) throw new Error(`a went back from ${last} to ${a}`)
    if (a !== last) process.stdout.write(`${a}\n`)
    last = a
    await new Promise(resolve => setImmediate(resolve))
  }
}

run()
