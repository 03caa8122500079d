import level = require('level-party')

const db: level.Level = new level.Level('data-cts')
const handle: level.Handle = level('data-cts', { retry: false })

const run = async (): Promise<void> => {
  await db.open()
  const batch: level.ChainedBatch<typeof db, string, string> = db.batch()
  await batch.put('a', '1').write({ sync: true })
  await handle.batch().del('a').write()
  const missing: string | undefined = db.getSync('a')
  if (missing !== undefined) throw new Error('not deleted')
  handle.createReadStream({ limit: 1 }).on('data', () => { throw new Error('not deleted') })
  console.log('cts')
}

run()
