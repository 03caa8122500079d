'use strict'

const fs = require('fs')
const os = require('os')
const path = require('path')

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'level-party-test-'))
let count = 0

process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }))

/** A directory that is not there yet. */
exports.temporary = () => path.join(root, String(count++))
