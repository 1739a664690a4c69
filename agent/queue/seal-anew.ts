import { decodeManifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'
import type { Arrival } from './arrival.ts'
import type { AsideEntry, IndexEntry } from './index-entry.ts'
import type { Intake } from './intake.ts'
import type { Outflow } from './outflow.ts'
import type { ReadRecord, RecordReader } from './record-reader.ts'

interface Parts {
  readonly reader: RecordReader
  readonly intake: Pick<Intake, 'leave' | 'append'>
  readonly replace: (entry: IndexEntry) => ReturnType<Outflow['forget']>
  readonly setAside: (entries: readonly AsideEntry[]) => Promise<void>
}

/**
 * Another record holds the place of this one at the server: the chain was continued from a past state of it, as of a disk that
 * was put back. What it holds arrives anew, for a chain that begins with it, and then it is forgotten. It stays where the
 * signal fires before that, and where its file is still looked for.
 */
export async function sealAnew(
  entry: IndexEntry,
  { reader, intake, replace, setAside }: Parts,
  signal: AbortSignal,
): Promise<void> {
  intake.leave(entry.epoch)
  const read = await reader.read(entry, Buffer.allocUnsafe(entry.extent?.length ?? 0))
  if (read.is === 'awaited') return
  if (read.is === 'damaged') return setAside([{ ...entry, why: read.why }])
  const arrival = arrivalOf(read, entry)
  if (await intake.append(arrival, signal)) await replace(entry)
}

/** Its stream goes on where it is. */
function arrivalOf(
  { is, bytes }: Extract<ReadRecord, { is: 'whole' | 'withheld' }>,
  { lane, extent }: IndexEntry,
): Arrival {
  const scan = scanRecord(bytes)
  const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
  if (scan.is !== 'whole' || !manifest?.ok) throw new Error('a record that was read was checked')
  const { stream, path, tags, ...held } = manifest.value
  const common = { label: { stream, path, tags }, lane, resume: 'stays', isReplacement: true } as const
  if (held.kind !== 'data') return { ...common, ...held }
  const { offset, length, sha256, encoding, bodySha256 } = held
  const { body } = scan.frame
  if (is === 'withheld' || !body)
    return { ...common, kind: 'loss', offset, length, reason: extent ? 'unreadable' : 'evicted' }
  return { ...common, kind: 'data', offset, body: { length, sha256, encoding, body, bodySha256 } }
}
