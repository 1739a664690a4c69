import type { StreamId } from '../../protocol/ids.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import { showText } from '../../protocol/show-text.ts'
import type { FileProgress } from '../capture/capture-file.ts'
import type { Capture } from '../capture/capture.ts'
import { pathOfKey } from '../capture/find-files.ts'
import type { Delivery } from '../deliver/deliver.ts'
import type { Queue } from '../queue/queue.ts'
import { queueNotes } from './queue-notes.ts'
import type { FileReport, SetAsideReport, StatusReport, Totals } from './report.ts'

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
      notes: queueNotes(queue),
    },
    files,
    totals: totalsOf(files),
  }
}

/** Files that are followed, that wait in the queue though nobody follows them any more, and that cannot be read. */
export function tellFiles({ capture, queue }: Running): FileReport[] {
  const { followed, troubles } = capture
  const followedStreams = new Set(followed.map(({ label }) => label.stream))
  const leaving = queue.ledger.queuedStreams.filter((stream) => !followedStreams.has(stream))
  const followedKeys = new Set(followed.map(({ path }) => showPath(path)))
  const unread = [...troubles]
    .map(([key, why]) => tellTrouble(pathOfKey(key), why))
    .filter(({ path }) => !followedKeys.has(path))
  return [
    ...followed.map((progress) => tellFollowed(progress, queue)),
    ...leaving.map((stream) => tellLeaving(stream, queue)),
    ...unread,
  ]
}

function tellFollowed({ path, label, size, readTo }: FileProgress, queue: Queue): FileReport {
  const { stream } = label
  const counted = {
    queuedBytes: queue.ledger.queuedBytes(stream),
    receiptedBytes: queue.ledger.receiptedBytes(stream),
  }
  return { path: showPath(path), stream, size, readBytes: readTo, ...counted, lostBytes: 0 }
}

function tellLeaving(stream: StreamId, queue: Queue): FileReport {
  const point = queue.resumePoints.get(stream)
  const queuedBytes = queue.ledger.queuedBytes(stream)
  const receiptedBytes = queue.ledger.receiptedBytes(stream)
  const size = queuedBytes + receiptedBytes
  const path = point ? showText(showLogPath(point.path)) : ''
  return { path, stream, size, readBytes: size, queuedBytes, receiptedBytes, lostBytes: 0 }
}

function tellTrouble(path: Uint8Array, why: string): FileReport {
  const nothing = { size: 0, readBytes: 0, queuedBytes: 0, receiptedBytes: 0, lostBytes: 0 }
  return { path: showPath(path), stream: '', ...nothing, trouble: why }
}

function tellSetAside(queue: Queue): SetAsideReport[] {
  return queue.aside.map(({ seq, stream, why }) => {
    const point = queue.resumePoints.get(stream)
    return { seq, path: point ? showText(showLogPath(point.path)) : stream, why }
  })
}

export function totalsOf(files: readonly FileReport[]): Totals {
  const sum = (of: (file: FileReport) => number): number => files.reduce((total, file) => total + of(file), 0)
  return {
    files: files.length,
    size: sum((file) => file.size),
    readBytes: sum((file) => file.readBytes),
    queuedBytes: sum((file) => file.queuedBytes),
    receiptedBytes: sum((file) => file.receiptedBytes),
    lostBytes: sum((file) => file.lostBytes),
  }
}

function showPath(path: Uint8Array): string {
  return showText(Buffer.from(path).toString())
}
