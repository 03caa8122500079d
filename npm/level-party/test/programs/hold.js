'use strict'

// Opens a database, leads, says so, and then ends in the way it is told: node hold.js LOCATION HOW

const { Worker, isMainThread, workerData } = require('worker_threads')
const { Level } = require('../..')

const open = async function (location) {
  const db = new Level(location)
  await db.put('held', String(process.pid))
  return db
}

const WAYS = {
  // Nothing is left to do: the process ends by itself, without a close.
  idle () {},
  exit () { process.exit(7) },
  throw () { setImmediate(() => { throw new Error('thrown') }) },
  reject () { Promise.reject(new Error('rejected')) },
  stay () { setInterval(() => {}, 1000) },
  abort () { process.abort() }
}

if (!isMainThread) {
  open(workerData).then(() => {
    require('worker_threads').parentPort.postMessage('open')
    setInterval(() => {}, 1000)
  })
} else if (process.argv[3] === 'terminate') {
  // A worker leads, and is terminated; the process goes on.
  const worker = new Worker(__filename, { workerData: process.argv[2] })
  worker.once('message', async () => {
    process.send({ role: 'leader' })
    await worker.terminate()
    setInterval(() => {}, 1000)
  })
} else {
  open(process.argv[2]).then(db => {
    process.send({ role: db.role }, () => {
      process.disconnect()
      WAYS[process.argv[3]]()
    })
  })
}
