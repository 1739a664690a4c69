import { DatabaseSync } from 'node:sqlite'
import { serverFault } from '../faults.ts'
import type { DeviceRow } from './catalog.ts'
import { schema, schemaVersion } from './schema.ts'
import { queries } from './sqlite-queries.ts'
import { deviceFacts, deviceValues } from './sqlite-rows.ts'
import { inTransaction } from './sqlite-transaction.ts'

/**
 * Makes the schema where there is none, and takes over that of an earlier version. Throws CATALOG_DAMAGED where what
 * stands then is not, letter by letter, what this program makes: one flipped bit may rename a column or drop a rule.
 */
export function makeSchema(database: DatabaseSync): void {
  if (versionOf(database) !== schemaVersion) inTransaction(database, () => upgrade(database))
  checkSchema(database)
}

function versionOf(database: DatabaseSync): unknown {
  return database.prepare('PRAGMA user_version').get()?.['user_version']
}

function upgrade(database: DatabaseSync): void {
  const version = versionOf(database)
  // Another process was first.
  if (version === schemaVersion) return
  if (version !== 0 && version !== 1 && version !== 2)
    throw serverFault('CATALOG_DAMAGED', `the catalog is of version ${String(version)}`)
  const devices = version === 0 ? [] : takeDevices(database, version)
  // Version 1 had it at first, and was not called another when it went.
  if (database.prepare(queries.hasHashedRecords).get())
    database.exec('ALTER TABLE streams DROP COLUMN hashedRecords')
  database.exec(`${schema}; PRAGMA user_version = ${schemaVersion}`)
  for (const device of devices) database.prepare(queries.putDevice).run(...deviceValues(device))
  checkSchema(database)
}

/**
 * Before version 3 no sum stood beside a device: its row is believed this once. A key was then revoked under one of its
 * names only, and is now under each.
 */
function takeDevices(database: DatabaseSync, version: number): DeviceRow[] {
  if (database.prepare(queries.hasRegister).get())
    throw serverFault('CATALOG_DAMAGED', `the catalog says version ${version}, and is of a later one`)
  const devices = database.prepare(queries.devicesWithoutSum).all().map(deviceFacts)
  database.exec('DROP TABLE devices')
  return devices
}

function checkSchema(database: DatabaseSync): void {
  using fresh = new DatabaseSync(':memory:')
  fresh.exec(schema)
  const [made, found] = [partsOf(fresh), partsOf(database)]
  const [wrong] = [...made.symmetricDifference(found)]
  if (wrong === undefined) return
  const [type, name] = wrong.split(' ', 2)
  throw serverFault('CATALOG_DAMAGED', `the catalog's own description of ${type} ${name} is damaged`)
}

/** Each begins with its type and name. */
function partsOf(database: DatabaseSync): Set<string> {
  const parts = database.prepare(queries.schemaParts).all()
  return new Set(
    parts.map(({ type, name, tbl_name, sql }) => [type, name, tbl_name, sql].map(String).join(' ')),
  )
}
