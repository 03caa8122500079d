'use strict'

const path = require('path')
const { Level } = require('./level')

/** A Level as rave-level had it: its location is made absolute, and it emits 'leader'. */
class RaveLevel extends Level {
  constructor (location, options) {
    super(typeof location === 'string' && location !== '' ? path.resolve(location) : location, options)
  }
}

exports.RaveLevel = RaveLevel
