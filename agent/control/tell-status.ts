import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Capture } from '../capture/capture.ts'
import { pathKey, pathOfKey } from '../capture/find-files.ts'
import type { Generation } from '../capture/generation.ts'
import type { Delivery } from '../deliver/deliver.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import { queueNotes } from './queue-notes.ts'
import { reportedPath, type ReportedPath } from './reported-path.ts'
import type { FileReport, SetAsideReport, StatusReport, Totals, WatchReport } from './report.ts'

/** The running parts that `status` and `flush` tell of. */
export interface Running {
  readonly version: string
  readonly server: string
  readonly capture: Capture
  readonly queue: Queue
  readonly delivery: Delivery
}

/** The agent as it stands. */
export function tellStatus(running: Running): StatusReport {
  const { queue, delivery, version, server } = running
  const files = tellFiles(running)
  return {
    version,
    device: queue.head.device,
    epoch: queue.head.epoch,
    server,
    link: delivery.report,
    queue: {
      records: queue.ledger.records,
      bytes: queue.ledger.bytes,
      maxBytes: queue.maxBytes,
      state: queue.state,
      setAside: tellSetAside(queue),
      setAsideRecords: queue.asideRecords,
      notes: queueNotes(queue),
    },
    watch: tellWatch(running),
    files,
    totals: totalsOf(files, queue),
  }
}

function tellWatch({ capture }: Running): WatchReport {
  const why = capture.watchTrouble
  return why === undefined ? { is: 'notified' } : { is: 'rescanning', why }
}

/** Files that are followed, that wait in the queue though nobody follows them any more, and that cannot be read. */
export function tellFiles({ capture, queue }: Running): FileReport[] {
  const { followed, troubles } = capture
  const followedStreams = new Set(followed.map(({ label }) => label.stream))
  const leaving = queue.ledger.queuedStreams.filter((stream) => !followedStreams.has(stream))
  const followedKeys = new Set(followed.map(({ path }) => pathKey(path)))
  const unread = [...troubles]
    .filter(([key]) => !followedKeys.has(key))
    .map(([key, why]) => tellTrouble(pathOfKey(key), why))
  return [
    ...followed.map((generation) => tellTroubled(tellFollowed(generation, queue), generation, troubles)),
    ...leaving.map((stream) => tellLeaving(stream, queue)),
    ...unread,
  ]
}

function tellFollowed(generation: Generation, queue: Queue): FileReport {
  const { path, label, size, readTo, state } = generation
  const { stream } = label
  return { ...reportedPath(path), stream, state, size, readBytes: readTo, ...tellCounts(stream, queue) }
}

/** A file that is followed and cannot be read at the moment. */
function tellTroubled(
  report: FileReport,
  { path }: Generation,
  troubles: ReadonlyMap<string, string>,
): FileReport {
  const trouble = troubles.get(pathKey(path))
  return trouble === undefined ? report : { ...report, trouble }
}

type Counts = Pick<FileReport, 'queuedBytes' | 'receiptedBytes' | 'lostBytes'>

function tellCounts(stream: StreamId, { ledger }: Queue): Counts {
  return {
    queuedBytes: ledger.queuedBytes(stream),
    receiptedBytes: ledger.receiptedBytes(stream),
    lostBytes: ledger.lostBytes(stream),
  }
}

function tellLeaving(stream: StreamId, queue: Queue): FileReport {
  const point = queue.resumePoints.get(stream)
  const counts = tellCounts(stream, queue)
  const size = counts.queuedBytes + counts.receiptedBytes
  return { ...pathOf(point, ''), stream, state: 'gone', size, readBytes: size, ...counts }
}

function tellTrouble(path: Uint8Array, why: string): FileReport {
  const nothing = { size: 0, readBytes: 0, queuedBytes: 0, receiptedBytes: 0, lostBytes: 0 }
  return { ...reportedPath(path), stream: '', state: 'unreadable', ...nothing, trouble: why }
}

function tellSetAside(queue: Queue): SetAsideReport[] {
  return queue.aside.map(({ seq, stream, why }) => {
    const point = queue.resumePoints.get(stream)
    return { seq, ...pathOf(point, stream), why }
  })
}

/**
 * Of all files, as `tellFiles` counts them, without a report for each: there may be thousands of them. What was lost of files
 * of which nothing else is told any more counts, too.
 */
export function tellCountsOfAll({ capture, queue }: Running): Counts {
  const all = { queuedBytes: 0, receiptedBytes: 0, lostBytes: queue.ledger.lostInAllBytes }
  const streams = new Set(capture.followed.map(({ label }) => label.stream))
  for (const stream of queue.ledger.queuedStreams) streams.add(stream)
  for (const stream of streams) {
    const { queuedBytes, receiptedBytes } = tellCounts(stream, queue)
    all.queuedBytes += queuedBytes
    all.receiptedBytes += receiptedBytes
  }
  return all
}

function totalsOf(files: readonly FileReport[], { ledger }: Queue): Totals {
  const sum = (of: (file: FileReport) => number): number => files.reduce((total, file) => total + of(file), 0)
  return {
    files: files.length,
    size: sum((file) => file.size),
    readBytes: sum((file) => file.readBytes),
    queuedBytes: sum((file) => file.queuedBytes),
    receiptedBytes: sum((file) => file.receiptedBytes),
    lostBytes: ledger.lostInAllBytes,
  }
}

function pathOf(point: ResumePoint | undefined, otherwise: string): ReportedPath {
  return point ? reportedPath(logPathToBytes(point.path)) : { path: otherwise }
}
