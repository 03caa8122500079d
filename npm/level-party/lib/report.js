'use strict'

/** A report of the native side, with names as JavaScript has them. */
exports.report = function (json) {
  return JSON.parse(json, function (key, value) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    const named = {}
    for (const [name, of] of Object.entries(value)) {
      named[name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())] = of
    }
    return named
  })
}
