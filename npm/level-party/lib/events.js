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

/** Has a database emit what happens to its process's part in the party. */
exports.emitEvents = function (level, id) {
  const events = native.events(id)
  // The election may have been before the events began.
  const leads = native.role(id) === 'leader'
  if (leads) {
    level.once('open', async function () {
      const epoch = await epochOf(id)
      if (epoch !== undefined) this.emit('leader', { epoch })
    })
  }
  emitAll(new WeakRef(level), events, leads)
}

/** The number of the leadership there is; undefined if the database was closed meanwhile. */
const epochOf = async function (id) {
  try {
    return report(await answer(native.status(id))).epoch
  } catch (err) {
    if (err.code !== 'LEVEL_DATABASE_NOT_OPEN') throw err
  }
}

/** It refers to the database weakly, which so can be lost. */
const emitAll = async function (weak, events, leads) {
  for (;;) {
    const json = await answer(native.event(events))
    if (json === undefined) break
    const { event, ...what } = report(json)
    const again = event === 'elected' && leads
    leads = event === 'elected' || (leads && event !== 'stepped-down' && event !== 'attached')
    if (!again) weak.deref()?.emit(NAMES[event] ?? event, what)
  }
  native.give(events)
}
