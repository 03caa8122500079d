'use strict'

// Builds the native library from source, for this platform, and puts it beside the package's files: `npm run build`, in a checkout.

const { execFileSync } = require('child_process')
const fs = require('fs')
const path = require('path')

const root = path.join(__dirname, '..', '..', '..')
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target')
const file = { darwin: 'liblevel_party_node.dylib', win32: 'level_party_node.dll' }[process.platform] ?? 'liblevel_party_node.so'
execFileSync('cargo', ['build', '--quiet', '--release', '-p', 'level-party-node'], { cwd: root, stdio: 'inherit' })
const to = path.join(__dirname, '..', 'level-party.node')
// A new file: a process may have the old one loaded.
fs.rmSync(to, { force: true })
fs.copyFileSync(path.join(target, 'release', file), to)
