import level = require('./index.js')

export { level as default, level }
export import Level = level.Level
export import ClassicLevel = level.ClassicLevel
export import RaveLevel = level.RaveLevel
export type Handle = level.Handle
export type HandleOptions = level.HandleOptions
export type LevelError = level.LevelError
export type DatabaseOptions<K, V> = level.DatabaseOptions<K, V>
export type OpenOptions = level.OpenOptions
export type Role = level.Role
export type Status = level.Status
export type Transaction<K, V> = level.Transaction<K, V>
export type Watch<K, V> = level.Watch<K, V>
export type WatchItem<K, V> = level.WatchItem<K, V>
export type WatchOptions<K, V> = level.WatchOptions<K, V>
export type VerifyReport = level.VerifyReport
export type RepairReport = level.RepairReport
