'use strict'

// Opens a database first, and stays: node leader.js CONTENDER PEERS LOCATION

const { open } = require('./contenders')

open(process.argv[2], process.argv[3], process.argv[4]).then(async function (db) {
  await db.put('leading', '1')
  process.send('open')
})
process.on('message', () => {})
