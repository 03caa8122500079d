'use strict'

// All tests of the package, one process each: `npm test`. Those of abstract-level's suite run in all of its roles.

const { spawnSync } = require('child_process')
const path = require('path')

const FILES = ['level.test.js', 'legacy.test.js', 'exchange.test.js', 'process.test.js', 'kills.test.js']
const RUNS = [...FILES.map(file => [file]), ['suite.js', 'first'], ['suite.js', 'second'], ['suite.js', 'killed']]

for (const [file, ...args] of RUNS) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path.join(__dirname, file), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28
  })
  const name = [file, ...args].join(' ')
  if (status !== 0) {
    process.stdout.write(stdout)
    process.stderr.write(stderr)
    console.error(`${name}: failed (${signal ?? status})`)
    process.exit(1)
  }
  const told = stdout.split('\n').filter(line => /^# ((tests|pass) +\d+$|\d+ databases)/.test(line))
  console.log(`${name}: ${told.map(line => line.slice(2)).join(', ')}`)
}
