'use strict'

const ModuleError = require('module-error')

exports.notOpen = function (method) {
  return new ModuleError(`Database is not open: cannot call ${method}()`, {
    code: 'LEVEL_DATABASE_NOT_OPEN'
  })
}

exports.AbortError = class AbortError extends ModuleError {
  constructor (cause) {
    super('Operation has been aborted', { code: 'LEVEL_ABORTED', cause })
  }

  // As that of abstract-level and of the web's own.
  get name () {
    return 'AbortError'
  }
}
