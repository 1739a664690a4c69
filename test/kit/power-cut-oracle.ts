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

/** Every record brings what stood there in its file at one time, and no byte comes twice without a reason. */
function wrongStream(flight: PowerCutFlight, stream: StreamId, records: readonly VerifiedRecord[]): string[] {
  const versions = versionsOf(flight, flight.inodes.get(stream) ?? '')
  const wrongs: string[] = []
  let end = 0
  for (const { manifest, content } of records) {
    if (manifest.kind === 'loss') wrongs.push(`a loss of ${manifest.length} bytes (${manifest.reason})`)
    if (manifest.kind !== 'data' || !content) continue
    const to = manifest.offset + manifest.length
    const isFromFile = versions.some((bytes) => holds(bytes, manifest.offset, content))
    if (!isFromFile) wrongs.push(`never in the file: stream ${stream} from ${manifest.offset} to ${to}`)
    if (manifest.offset !== end) wrongs.push(`stream ${stream} goes on at ${manifest.offset}, not at ${end}`)
    end = to
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
    return [
      ...(isAsInFile(last ?? new Uint8Array(0), file.content, versionsOf(flight, inode))
        ? []
        : [`file ${inode} is not as it was sent: ${last?.length} bytes of ${file.content.length}`]),
      ...contents
        .filter((content) => !wasTakenBack(flight, inode, content))
        .map(() => `file ${inode} was begun anew, although no cut took back what was sent of it`),
    ]
  })
}

/** Whether a cut left the file without some of what a stream has of it: then it has to be begun anew. */
function wasTakenBack(flight: PowerCutFlight, inode: string, content: Uint8Array): boolean {
  const { versions = [] } = flight.writer.historyOf(inode) ?? {}
  return versions.some(
    ({ before, left }) => !holds(left, 0, content) && !before.every((b, at) => b === left[at]),
  )
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

function contentOf(records: readonly VerifiedRecord[]): Uint8Array {
  return Buffer.concat(records.map(({ content }) => content ?? new Uint8Array(0)))
}

function holds(bytes: Uint8Array, offset: number, content: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(offset, offset + content.length)).equals(content)
}
