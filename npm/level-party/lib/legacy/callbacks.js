'use strict'

/** The last function among the arguments of a call. */
exports.callbackOf = function (...given) {
  return given.find(argument => typeof argument === 'function')
}

/** Has `callback` told what becomes of `promise`; without one it is the promise. */
exports.told = function (promise, callback) {
  if (callback === undefined) return promise
  // Outside of the promise: what the callback throws is an uncaught exception, not a rejection.
  promise.then(
    value => process.nextTick(callback, null, value),
    err => process.nextTick(callback, err)
  )
}
