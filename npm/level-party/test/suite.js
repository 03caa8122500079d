'use strict'

// abstract-level's own suite, nothing skipped.

const fs = require('fs')
const os = require('os')
const path = require('path')
const test = require('tape')
const suite = require('abstract-level/test')
const { Level } = require('..')

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'level-party-suite-'))
process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }))

let count = 0
suite({
  test,
  factory: options => new Level(path.join(root, String(count++)), options)
})
