import level from './index.js'

const { Level, ClassicLevel, RaveLevel } = level

export { level as default, level, Level, ClassicLevel, RaveLevel }
