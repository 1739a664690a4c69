import { decodeBody, encodeBody, type EncodedBody } from '../../protocol/body.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { decodeManifest, type DataManifest, type Manifest } from '../../protocol/manifest.ts'
import { scanRecord, type RecordFrame } from '../../protocol/record.ts'
import type { Arrival } from './arrival.ts'
import type { IndexEntry, Place } from './index-entry.ts'
import type { OpenedQueue } from './open-queue.ts'
import { endBehind, type SealedAnew } from './end-again.ts'
import { firstPlaceOf, isLastWord, isSaidAgain, stillSaidBy, type Stretch } from './shipped.ts'

type Opened = Pick<OpenedQueue, 'index' | 'longest'>

/**
 * What is to be sealed anew of a record, in its order: of its range those parts of which nothing newer was said, and of a file's
 * end nothing once the file went on. Behind parts of a file that has ended its end comes once more. The last of it replaces the
 * record.
 */
export async function heldAnew(
  record: Uint8Array,
  entry: IndexEntry,
  opened: Opened,
  isWaiting: SealedAnew['isWaiting'],
): Promise<readonly Arrival[]> {
  const { frame, manifest } = contentOf(record)
  const parts = await partsOf(manifest, opened)
  const of = await firstPlaceOf(opened.index, manifest)
  const sealed = { manifest, entry, isComing: parts.length > 0, replaces: entry, isWaiting }
  const end = await endBehind(sealed, opened.index)
  const last = parts.length - 1
  const anew = await Promise.all(
    parts.map((part, number) =>
      arrivalOf(manifest, frame, part, { of, entry, isLast: number === last && !end }),
    ),
  )
  return end ? [...anew, end] : anew
}

/** What is in a record that was read from the queue. */
export function contentOf(bytes: Uint8Array): { readonly frame: RecordFrame; readonly manifest: Manifest } {
  const scan = scanRecord(bytes)
  const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
  if (scan.is !== 'whole' || !manifest?.ok) throw new Error('a record that was read was checked')
  return { frame: scan.frame, manifest: manifest.value }
}

async function partsOf(manifest: Manifest, { index, longest }: Opened): Promise<readonly Stretch[]> {
  if (manifest.kind === 'close') {
    return (await isLastWord(index, manifest)) ? [{ from: 0, to: manifest.length }] : []
  }
  if (manifest.length !== null) return stillSaidBy(index, manifest, await longest.of(index, manifest.stream))
  return (await isSaidAgain(index, manifest)) ? [] : [{ from: manifest.offset, to: Infinity }]
}

/** What a part stands in place of. */
interface Replaced {
  readonly of: Place
  readonly entry: IndexEntry
  /** No more of it comes. */
  readonly isLast: boolean
}

/** Its stream goes on where it is. */
async function arrivalOf(
  manifest: Manifest,
  { body }: RecordFrame,
  part: Stretch,
  { of, entry, isLast }: Replaced,
): Promise<Arrival> {
  const { kind, stream, path, tags } = manifest
  const { lane, extent } = entry
  const anew = { kind, of, replaces: isLast ? entry : undefined }
  const common = { label: { stream, path, tags }, lane, resume: 'stays', anew } as const
  if (kind === 'close') return { ...common, kind, length: manifest.length, sha256: manifest.sha256 }
  const [offset, length] = [part.from as ByteOffset, part.to - part.from]
  if (kind === 'loss')
    return { ...common, kind, offset, length: manifest.length && length, reason: manifest.reason }
  if (body) return { ...common, kind, offset, body: await bodyOf(manifest, body, part) }
  return { ...common, kind: 'loss', offset, length, reason: extent ? 'unreadable' : 'evicted' }
}

async function bodyOf(manifest: DataManifest, body: Uint8Array, { from, to }: Stretch): Promise<EncodedBody> {
  const { offset, length, sha256, encoding, bodySha256 } = manifest
  if (to - from === length) return { length, sha256, encoding, body, bodySha256 }
  const content = decodeBody(manifest, body)
  if (!content.ok) throw new Error('a record that was sealed here holds what it says')
  return encodeBody(content.value.subarray(from - offset, to - offset))
}
