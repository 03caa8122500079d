'use strict'

// A process that opens databases on request, and so leads in them; a child of the suite.

const { Level } = require('..')

const open = new Map()

process.on('message', async function ({ call, location }) {
  if (call === 'open') {
    const db = new Level(location)
    open.set(location, db)
    await db.open()
    process.send({ location, role: db.role })
  } else {
    const db = open.get(location)
    open.delete(location)
    await db.close()
    process.send({ location })
  }
})
