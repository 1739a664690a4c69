import { existsSync, readFileSync } from 'node:fs'

/** Real inputs and other people's vectors. They are not ours to ship, so that a clone may be without them. */
const folder = new URL('../../../shared/data/', import.meta.url)

/** For `test.skipIf`. */
export const lacksSharedData = !existsSync(folder)

if (lacksSharedData) console.warn(`skipped what needs ${folder.pathname}: the folder is not there`)

export function sharedBytes(path: string): Uint8Array {
  return readFileSync(new URL(path, folder))
}

export function sharedJson(path: string): unknown {
  return JSON.parse(Buffer.from(sharedBytes(path)).toString('utf8'))
}
