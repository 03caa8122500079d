'use strict'

// Finds the native library: that of a package for this platform, or one that was built from source beside this package.

const path = require('path')

/** The platforms there is a package for, by process.platform, process.arch and the C library. */
const PLATFORMS = {
  'linux-x64-gnu': true,
  'linux-x64-musl': true,
  'linux-arm64-gnu': true,
  'linux-arm64-musl': true,
  'darwin-x64': true,
  'darwin-arm64': true,
  'win32-x64': true
}

function platform () {
  const { platform, arch } = process
  if (platform !== 'linux') return `${platform}-${arch}`
  return `${platform}-${arch}-${isMusl() ? 'musl' : 'gnu'}`
}

function isMusl () {
  const header = process.report?.getReport?.().header
  if (header?.glibcVersionRuntime) return false
  return require('fs').existsSync(`/lib/ld-musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`)
}

exports.library = function () {
  const built = path.join(__dirname, '..', 'level-party.node')
  const name = platform()
  const tried = []
  for (const file of [built, `@level-party/${name}`]) {
    try {
      return require(file)
    } catch (err) {
      if (err.code !== 'MODULE_NOT_FOUND') throw err
      tried.push(file)
    }
  }
  const hint = PLATFORMS[name]
    ? `install level-party again without --omit=optional, which leaves @level-party/${name} out`
    : 'build it from source, as its README says'
  const error = new Error(`level-party has no native library for ${name}: ${hint}`)
  error.code = 'LEVEL_NOT_SUPPORTED'
  throw error
}
