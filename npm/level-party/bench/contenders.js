'use strict'

const fs = require('fs')
const path = require('path')
const { once } = require('events')

/** What all of them are asked for. */
const ofLevel = db => ({
  get: key => db.get(key),
  put: (key, value) => db.put(key, value),
  batch: operations => db.batch(operations),
  all: () => db.iterator().all(),
  async each () {
    let count = 0
    for await (const entry of db.iterator()) count += entry.length
    return count
  },
  close: () => db.close()
})

const CONTENDERS = {
  async 'level-party' (peers, location) {
    const { Level } = require('..')
    const db = new Level(location)
    await db.open()
    return { ...ofLevel(db), getSync: key => db.getSync(key) }
  },
  async 'classic-level' (peers, location) {
    const { ClassicLevel } = require(path.join(peers, 'node_modules', 'classic-level'))
    const db = new ClassicLevel(location)
    await db.open()
    return { ...ofLevel(db), getSync: key => db.getSync(key) }
  },
  async 'rave-level' (peers, location) {
    const { RaveLevel } = require(path.join(peers, 'node_modules', 'rave-level'))
    const db = new RaveLevel(location)
    await db.open()
    return ofLevel(db)
  },
  async 'level-party-5' (peers, location) {
    const db = require(path.join(peers, 'node_modules', 'level-party-5'))(location)
    if (!db.isOpen()) await once(db, 'open')
    const all = async () => {
      let count = 0
      for await (const entry of db.createReadStream()) count += entry.key.length
      return count
    }
    return { ...ofLevel(db), all, each: all }
  }
}

/** Opens a database by a contender's name. */
exports.open = function (name, peers, location) {
  fs.mkdirSync(location, { recursive: true })
  return CONTENDERS[name](peers, location)
}
