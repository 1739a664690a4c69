import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../protocol/ids.ts'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import { realClock } from '../../server-stub/parts.ts'
import { makeSigner } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'

const device = 'hexa-7' as DeviceId

/** As version 2 had it, of which version 1 lacked the index. */
const intoVersion2 = `
  CREATE TABLE devices (
  device TEXT PRIMARY KEY,
  key BLOB NOT NULL,
  addedMs INTEGER NOT NULL,
  revokedMs INTEGER,
  lastSeenMs INTEGER
) STRICT, WITHOUT ROWID;
  INSERT INTO devices SELECT device, key, addedMs, revokedMs, lastSeenMs FROM register;
  DROP TABLE register;
  PRAGMA user_version = 2;`

/** What hashedSha256 was kept with at first. */
const asItBegan = `
  DROP TABLE records;
  DROP TABLE streams;
  CREATE TABLE streams (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  stream TEXT NOT NULL,
  path BLOB NOT NULL,
  tags TEXT NOT NULL,
  firstEpoch INTEGER NOT NULL,
  firstSeq INTEGER NOT NULL,
  labelEpoch INTEGER NOT NULL,
  labelSeq INTEGER NOT NULL,
  firstSeenMs INTEGER NOT NULL,
  lastSeenMs INTEGER NOT NULL,
  hashedRecords INTEGER,
  hashedSha256 BLOB,
  UNIQUE (device, stream)
) STRICT;`

test.each([
  { version: 1, into: `${intoVersion2} DROP INDEX streamsAtPath; PRAGMA user_version = 1` },
  { version: 2, into: intoVersion2 },
  {
    version: '1 as it began',
    into: `${intoVersion2} DROP INDEX streamsAtPath; ${asItBegan} PRAGMA user_version = 1`,
  },
])('a catalog of version $version is taken over with all that is in it', async ({ into }) => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  {
    await using made = SqliteCatalog.open(file, realClock)
    await made.addDevice(device, makeSigner().publicKey, 1)
    await made.revokeDevice(device, 5)
  }
  using database = new DatabaseSync(file)
  database.exec(into)

  await using opened = SqliteCatalog.open(file, realClock)
  expect(await opened.device(device)).toMatchObject({ addedMs: 1, revokedMs: 5 })
  const named = database.prepare("SELECT name FROM sqlite_schema WHERE name IN ('streamsAtPath', 'devices')")
  expect(named.all()).toMatchObject([{ name: 'streamsAtPath' }])
})

test('a key that was revoked under one name is taken over as revoked under every name', async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  const other = 'hexa-8' as DeviceId
  {
    const { publicKey } = makeSigner()
    await using made = SqliteCatalog.open(file, realClock)
    await made.addDevice(device, publicKey, 1)
    await made.addDevice(other, publicKey, 1)
  }
  using database = new DatabaseSync(file)
  database.exec(`${intoVersion2} UPDATE devices SET revokedMs = 5 WHERE device = '${other}'`)

  await using opened = SqliteCatalog.open(file, realClock)
  expect(await opened.devices()).toMatchObject([{ revokedMs: 5 }, { revokedMs: 5 }])
})

test('a catalog of a later version is left alone', async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  await SqliteCatalog.open(file, realClock)[Symbol.asyncDispose]()
  using database = new DatabaseSync(file)

  database.exec('PRAGMA user_version = 99')
  expect(() => SqliteCatalog.open(file, realClock)).toThrow('the catalog is of version 99')
})

test('a catalog that says an older version than it is of is not taken over: its sums would be made anew', async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  await SqliteCatalog.open(file, realClock)[Symbol.asyncDispose]()
  using database = new DatabaseSync(file)

  database.exec('PRAGMA user_version = 2')
  expect(() => SqliteCatalog.open(file, realClock)).toThrow(
    'the catalog says version 2, and is of a later one',
  )
})

test.each([
  'DROP INDEX firstAtPlace',
  'CREATE TRIGGER t AFTER INSERT ON register BEGIN DELETE FROM register; END',
])('a catalog whose rules are not those that were made is damaged: %s', async (change) => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  await SqliteCatalog.open(file, realClock)[Symbol.asyncDispose]()
  using database = new DatabaseSync(file)

  database.exec(change)
  expect(() => SqliteCatalog.open(file, realClock)).toThrow(
    /the catalog's own description of (index firstAtPlace|trigger t) is damaged/,
  )
})
