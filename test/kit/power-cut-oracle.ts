import { base64url, type StreamId } from '../../protocol/ids.ts'
import type { VerifiedRecord } from '../../protocol/verify.ts'
import type { PowerCutFlight } from './power-cut-flight.ts'

export interface Judgement {
  /** A line each. */
  readonly wrongs: readonly string[]
  readonly records: number
  /** Of the logs. */
  readonly bytes: number
}

/**
 * What is wrong at the server after a flight that landed. Bytes of a file that a cut took away before anybody
 * queued them are nobody's loss; whatever was queued, and whatever is in the files now, must be there, and once.
 */
export async function wrongsOf(flight: PowerCutFlight): Promise<Judgement> {
  const records: VerifiedRecord[] = []
  for await (const record of flight.server.records()) records.push(record)
  const streams = Map.groupBy(records, ({ manifest }) => manifest.stream)
  const wrongs = [
    ...(await flight.server.findings()),
    ...wrongChain(records),
    ...lostAfterTaken(flight, records),
    ...[...streams].flatMap(([stream, own]) => wrongStream(flight, stream, own)),
    ...wrongFiles(flight, streams),
  ]
  const bytes = records.reduce((sum, { content }) => sum + (content?.length ?? 0), 0)
  return { wrongs, records: records.length, bytes }
}

/** The queue was never lost, so nothing may begin the chain anew. */
function wrongChain(records: readonly VerifiedRecord[]): string[] {
  const epochs = new Set(records.map(({ manifest }) => manifest.epoch))
  return epochs.size > 1 ? [`${epochs.size} chains, although no queue was lost`] : []
}

function lostAfterTaken({ taken }: PowerCutFlight, records: readonly VerifiedRecord[]): string[] {
  const stored = new Set(
    records.map(({ manifest }) =>
      manifest.kind === 'data' ? `${manifest.stream}/${manifest.offset}/${base64url(manifest.sha256)}` : '',
    ),
  )
  return taken
    .filter(({ stream, offset, sha256 }) => !stored.has(`${stream}/${offset}/${sha256}`))
    .map(({ stream, offset }) => `taken into the queue and not stored: stream ${stream} at ${offset}`)
}

/** Every record brings what stood there in its file at one time and is not stored yet, or names what a cut took. */
function wrongStream(flight: PowerCutFlight, stream: StreamId, records: readonly VerifiedRecord[]): string[] {
  const inode = flight.inodes.get(stream) ?? ''
  const versions = versionsOf(flight, inode)
  const wrongs: string[] = []
  for (const [index, { manifest, content }] of records.entries()) {
    if (manifest.kind === 'close') continue
    const { offset, length } = manifest
    const to = offset + (length ?? 0)
    const where = `stream ${stream} from ${offset} to ${to}`
    const stored = contentOf(records.slice(0, index))
    if (offset > stored.length) wrongs.push(`${where}: missing from ${stored.length} on`)
    if (content && holds(stored, offset, content)) wrongs.push(`${where}: twice`)
    if (content && !versions.some((bytes) => holds(bytes, offset, content)))
      wrongs.push(`${where}: never in the file`)
    const isGone = manifest.kind === 'loss' && manifest.reason === 'deleted' && !isThere(flight, inode)
    if (manifest.kind === 'loss' && !isGone && !wasTakenBack(flight, inode, to))
      wrongs.push(`${where}: lost (${manifest.reason}), and no cut took it`)
  }
  return wrongs
}

function wrongFiles(
  flight: PowerCutFlight,
  streams: ReadonlyMap<StreamId, readonly VerifiedRecord[]>,
): string[] {
  const byInode = Map.groupBy(streams, ([stream]) => flight.inodes.get(stream))
  return flight.writer.files.flatMap((file) => {
    const inode = String(file.inode)
    const contents = (byInode.get(inode) ?? []).map(([, records]) => contentOf(records))
    // Where a cut left nothing of the file, there is nothing to send of it.
    const last = file.content.length > 0 ? contents.pop() : undefined
    const isAsSent = isAsInFile(last ?? new Uint8Array(0), file.content, versionsOf(flight, inode))
    return [
      ...(isAsSent
        ? []
        : [`file ${inode}: ${last?.length} of ${file.content.length} bytes are as it has them`]),
      ...contents
        .filter((content) => !wasTakenBack(flight, inode, content.length))
        .map(() => `file ${inode} was begun anew, although no cut took back what was sent of it`),
    ]
  })
}

/** A cut can take a name that was not synced, and with it a file of which more was known than read. */
function isThere({ writer }: PowerCutFlight, inode: string): boolean {
  return writer.files.some((file) => String(file.inode) === inode)
}

/** Whether a cut took some of what a file had up to here: then it is another file, and its stream has to end. */
function wasTakenBack({ writer }: PowerCutFlight, inode: string, to: number): boolean {
  const { versions = [] } = writer.historyOf(inode) ?? {}
  return versions.some(({ before, left }) => before.length >= to && !holds(left, 0, before.subarray(0, to)))
}

/** A hole that a cut left in the file is filled, at the server, with what stood there when it was read. */
function isAsInFile(sent: Uint8Array, now: Uint8Array, versions: readonly Uint8Array[]): boolean {
  if (sent.length !== now.length) return false
  return now.every((byte, at) => sent[at] === byte || versions.some((version) => version[at] === sent[at]))
}

function versionsOf({ writer }: PowerCutFlight, inode: string): Uint8Array[] {
  const history = writer.historyOf(inode)
  if (!history) return []
  return [...history.versions.map(({ before }) => before), history.file.content]
}

/** The records applied in their order, with zeros for what is named as lost. */
function contentOf(records: readonly VerifiedRecord[]): Uint8Array {
  let content = new Uint8Array(0)
  for (const { manifest, content: bytes } of records) {
    if (manifest.kind === 'close') continue
    const { offset, length } = manifest
    const next = new Uint8Array(Math.max(content.length, offset + (length ?? 0)))
    next.set(content)
    next.set(bytes ?? new Uint8Array(length ?? 0), offset)
    content = next
  }
  return content
}

function holds(bytes: Uint8Array, offset: number, content: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(offset, offset + content.length)).equals(content)
}
