import { existsSync, readFileSync } from 'node:fs'

/** Real inputs and other people's vectors. They are not ours to ship, so that a clone may be without them. */
export const sharedFolder = new URL('../../../shared/data/', import.meta.url)

/** For `test.skipIf`. */
export const lacksSharedData = !existsSync(sharedFolder)

if (lacksSharedData) console.warn(`skipped what needs ${sharedFolder.pathname}: the folder is not there`)

export function sharedBytes(path: string): Uint8Array {
  return readFileSync(new URL(path, sharedFolder))
}

export function sharedJson(path: string): unknown {
  return JSON.parse(Buffer.from(sharedBytes(path)).toString('utf8'))
}
