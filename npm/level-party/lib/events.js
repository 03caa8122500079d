'use strict'

const { native, answer } = require('./native')
const { report } = require('./report')

/** The events of the native side, by the names they have here. */
const NAMES = {
  elected: 'leader',
  attached: 'follower',
  'leader-lost': 'leaderLost',
  'stepped-down': 'steppedDown',
  losses: 'losses',
  trouble: 'trouble',
  missed: 'missed'
}

/** Has a database emit what happens to its process's part in the party. It does not keep the database from being lost. */
class Events {
  #level
  #id
  #leads = false
  #over

  constructor (level, id) {
    this.#level = new WeakRef(level)
    this.#id = native.events(id)
    // The election may have been before the events began.
    if (native.role(id) === 'leader') {
      this.#leads = true
      level.once('open', function () { level.emit('leader', {}) })
    }
    this.#over = this.#run()
  }

  async #run () {
    for (;;) {
      const json = await answer(native.event(this.#id))
      if (json === undefined) break
      const { event, ...what } = report(json)
      const again = event === 'elected' && this.#leads
      this.#leads = event === 'elected' || (this.#leads && event !== 'stepped-down' && event !== 'attached')
      if (!again) this.#level.deref()?.emit(NAMES[event] ?? event, what)
    }
    native.give(this.#id)
  }

  /** Once the database was closed: all events were emitted. */
  end () {
    return this.#over
  }
}

exports.Events = Events
