import { readdir, readFile } from 'node:fs/promises'
import type { DeviceId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { StreamRow } from '../../server-stub/catalog/catalog.ts'
import type { StoreParts } from '../../server-stub/parts.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { storedBytes } from './stored-bytes.ts'

/** What `verify` finds in a store. */
export async function findings(store: StoreParts): Promise<string[]> {
  const found: string[] = []
  for await (const finding of new Audit(store).findings()) found.push(JSON.stringify(finding))
  return found
}

/** A line for each file of a folder that the store does not have byte for byte, once, in one stream. */
export async function differences(logs: string, device: DeviceId, store: StoreParts): Promise<string[]> {
  const streams = await store.catalog.streams(device)
  const wrong: string[] = []
  // A name need not be UTF-8.
  for (const name of await readdir(logs, { encoding: 'buffer' })) {
    const path = Buffer.concat([Buffer.from(`${logs}/`), name])
    const own = streams.filter((stream) => path.equals(logPathToBytes(stream.path)))
    wrong.push(...(await compare(path, JSON.stringify(name.toString()), own, store)))
  }
  return wrong
}

async function compare(
  path: Buffer,
  name: string,
  own: readonly StreamRow[],
  store: StoreParts,
): Promise<string[]> {
  const here = await readFile(path)
  const [stream, ...others] = own
  if (!stream) return here.length === 0 ? [] : [`${name}: the server has none of its ${here.length} bytes`]
  const wrong = others.map((other) => `${name}: a second stream ${other.stream}`)
  const stored = await storedBytes(stream, store)
  if (stored.twice.length > 0) wrong.push(`${name}: stored twice: ${stored.twice.join(', ')}`)
  if (stored.lengths !== here.length)
    wrong.push(`${name}: records of ${stored.lengths} bytes for a file of ${here.length}`)
  if (!here.equals(stored.bytes)) wrong.push(`${name}: ${differenceOf(here, stored.bytes)}`)
  return wrong
}

function differenceOf(here: Uint8Array, there: Uint8Array): string {
  const first = here.findIndex((byte, index) => byte !== there[index])
  return `${here.length} bytes here, ${there.length} there, which differ from ${first < 0 ? here.length : first} on`
}
