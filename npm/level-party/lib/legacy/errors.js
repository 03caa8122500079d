'use strict'

const of = function (name, message, cause) {
  const error = new Error(message, { cause })
  error.type = name
  error.name = name
  if (cause?.code !== undefined) error.code = cause.code
  if (cause?.kind !== undefined) error.kind = cause.kind
  return error
}

/** No entry has the key. */
exports.notFound = function (key) {
  const error = of('NotFoundError', `Key not found in database [${key}]`)
  error.notFound = true
  error.status = 404
  error.code = 'LEVEL_NOT_FOUND'
  return error
}

/** An error by the name that levelup gave it. */
exports.named = function (name, cause) {
  return of(name, cause.cause?.message ?? cause.message, cause.cause ?? cause)
}
