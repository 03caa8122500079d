'use strict'

const { Level } = require('./lib/level')
const { RaveLevel } = require('./lib/rave-level')
const { Handle } = require('./lib/legacy/handle')

/** A handle on the database in `dir`: see the README. */
module.exports = function level (dir, options, callback) {
  return new Handle(dir, options, callback)
}

module.exports.level = module.exports
module.exports.Level = Level
module.exports.ClassicLevel = Level
module.exports.RaveLevel = RaveLevel
