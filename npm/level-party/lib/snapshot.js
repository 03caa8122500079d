'use strict'

const { AbstractSnapshot } = require('abstract-level')
const { native } = require('./native')
const { given } = require('./resource')

class Snapshot extends AbstractSnapshot {
  #id
  #give

  constructor (db, id, options) {
    super(options)
    this.#id = native.snapshot(id)
    this.#give = given(this, this.#id, db)
  }

  async _close () {
    this.#id = 0
    this.#give()
  }

  /** Its number, for the native side. 0 stands for none: also for a closed one, of which abstract-level lets nothing be read. */
  static id (snapshot) {
    return snapshot == null ? 0 : snapshot.#id
  }
}

exports.Snapshot = Snapshot
