'use strict'
const { Level } = require('./lib/level')
exports.Level = Level
