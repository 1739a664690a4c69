import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../protocol/ids.ts'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import { realClock } from '../../server-stub/parts.ts'
import { makeSigner } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'

const device = 'hexa-7' as DeviceId

test('a catalog of version 1 is taken over with all that is in it, and one of a later version is left alone', async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  {
    await using made = SqliteCatalog.open(file, realClock)
    await made.addDevice(device, makeSigner().publicKey, 1)
  }
  using database = new DatabaseSync(file)
  database.exec('DROP INDEX streamsAtPath; PRAGMA user_version = 1')

  await using opened = SqliteCatalog.open(file, realClock)
  expect(await opened.device(device)).toMatchObject({ addedMs: 1 })
  expect(database.prepare("SELECT name FROM sqlite_schema WHERE name = 'streamsAtPath'").all()).toHaveLength(
    1,
  )

  database.exec('PRAGMA user_version = 99')
  expect(() => SqliteCatalog.open(file, realClock)).toThrow('the catalog is of version 99')
})
