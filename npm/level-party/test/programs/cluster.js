'use strict'

// Puts its own process id: node cluster.js LOCATION

const { Level } = require('../..')

const db = new Level(process.argv[2])
db.put(String(process.pid), '').then(() => process.disconnect())
