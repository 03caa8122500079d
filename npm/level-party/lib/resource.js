'use strict'

const { native, lost } = require('./native')

// An iterator or a snapshot that JavaScript lost is given back: the database refers to it weakly. What is closed is not lost.

const kResource = Symbol('resource')

class WeakResource {
  #resource
  constructor (resource) {
    this.#resource = new WeakRef(resource)
  }

  async close () {
    return this.#resource.deref()?.close()
  }
}

/** What the database keeps of `resource`. */
exports.weakly = function (resource) {
  const weak = new WeakResource(resource)
  resource[kResource] = weak
  return weak
}

/** What it kept. */
exports.weaklyOf = function (resource) {
  return resource[kResource] ?? resource
}

/** Gives `id` back once `resource` is lost; the result does so at once. */
exports.given = function (resource, id, level) {
  const weak = resource[kResource]
  const of = new WeakRef(level)
  const token = {}
  lost.register(resource, function () {
    native.give(id)
    if (weak !== undefined) of.deref()?.detachResource(weak)
  }, token)
  return function () {
    lost.unregister(token)
    native.give(id)
  }
}
