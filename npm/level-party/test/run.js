'use strict'

// All tests of the package, each in a process of its own, two at a time: `npm test`. Those of abstract-level's suite run in all of
// its roles.

const { spawn } = require('child_process')
const path = require('path')

const AT_ONCE = 2
const RUNS = [
  ['kills.test.js'], ['suite.js', 'killed'], ['suite.js', 'second'], ['suite.js', 'first'], ['level.test.js'], ['legacy.test.js'],
  ['exchange.test.js'], ['process.test.js']
]

/** Runs one file; gives whether it succeeded. */
const run = async function ([file, ...args]) {
  const name = [file, ...args].join(' ')
  const child = spawn(process.execPath, [path.join(__dirname, file), ...args])
  let told = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', data => { told += data })
  const [status, signal] = await new Promise(resolve => child.on('close', (...how) => resolve(how)))
  if (status !== 0) {
    console.error(`${told}\n${name}: failed (${signal ?? status})`)
    return false
  }
  const lines = told.split('\n').filter(line => /^# ((tests|pass) +\d+$|\d+ databases)/.test(line))
  console.log(`${name}: ${lines.map(line => line.slice(2)).join(', ')}`)
  return true
}

const runAll = async function () {
  const left = [...RUNS]
  const lane = async function () {
    while (left.length > 0 && process.exitCode === undefined) {
      if (!await run(left.shift())) process.exitCode = 1
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

runAll()
