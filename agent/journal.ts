import { showText } from '../protocol/show-text.ts'
import type { Clock } from './clock.ts'
import { isoTime } from './iso-time.ts'

/**
 * What happens, told as facts. The first six are the steps of a record's way: each is told exactly when the step is
 * done, and the next one is not begun before.
 */
export interface Journal {
  segmentWritten(bytes: number): void
  segmentSynced(): void
  indexWritten(records: number): void
  requestSent(records: number, bytes: number): void
  receiptVerified(records: number): void
  forgotten(records: number): void

  agentStarted(device: string, epoch: number, records: number): void
  agentStopped(queuedRecords: number): void
  streamStarted(path: string, stream: string, offset: number): void
  /** The queue was lost, and the server has so much of the file. */
  streamRecalled(path: string, stream: string, offset: number): void
  /** The queue is new, and what the server has of the files cannot be learned. */
  streamsUnknown(why: string): void
  streamEnded(path: string, stream: string, why: string): void
  bytesLost(path: string, stream: string, offset: number, length: number, why: string): void
  fileClosed(path: string, stream: string, bytes: number): void
  fileTrouble(path: string, why: string): void
  fileRecovered(path: string): void
  watchTrouble(why: string): void
  indexMovedAside(to: string, why: string): void
  recordsMissing(records: number): void
  bodiesEvicted(lane: string, records: number, bytes: number): void
  /** The disk is full: what was kept for the index is used. */
  reserveGivenUp(bytes: number): void
  queueBlocked(why: string): void
  queueOpen(): void
  deliveryFailed(why: string, attempt: number, retryInMs: number): void
  deliveryRecovered(attempts: number): void
  deliveryHeld(why: string): void
  deliveryReleased(): void
  /** A store that was never met before does not have the last record that has a receipt. */
  receiptsLost(store: string): void
  recordSetAside(place: string, stream: string, why: string): void
  recordForked(place: string): void
  flushStarted(bytes: number): void
  flushEnded(isDone: boolean): void
}

type Field = string | number | boolean

/** One line a fact, "time fact name=value …", which journald, grep and a person can read. */
export function logfmtJournal(write: (line: string) => void, clock: Pick<Clock, 'wallMs'>): Journal {
  const tell = (fact: string, fields: Record<string, Field>): void => {
    const words = Object.entries(fields).map(([name, value]) => `${name}=${quote(value)}`)
    write(`${[isoTime(clock.wallMs()), fact, ...words].join(' ')}\n`)
  }
  return {
    // Several a second while the log flows: the totals are in `status`.
    segmentWritten: () => undefined,
    segmentSynced: () => undefined,
    indexWritten: () => undefined,
    requestSent: () => undefined,
    receiptVerified: () => undefined,
    forgotten: () => undefined,

    agentStarted: (device, epoch, records) => tell('agentStarted', { device, epoch, records }),
    agentStopped: (queuedRecords) => tell('agentStopped', { queuedRecords }),
    streamStarted: (path, stream, offset) => tell('streamStarted', { path, stream, offset }),
    streamRecalled: (path, stream, offset) => tell('streamRecalled', { path, stream, offset }),
    streamsUnknown: (why) => tell('streamsUnknown', { why }),
    streamEnded: (path, stream, why) => tell('streamEnded', { path, stream, why }),
    bytesLost: (path, stream, offset, length, why) =>
      tell('bytesLost', { path, stream, offset, length, why }),
    fileClosed: (path, stream, bytes) => tell('fileClosed', { path, stream, bytes }),
    fileTrouble: (path, why) => tell('fileTrouble', { path, why }),
    fileRecovered: (path) => tell('fileRecovered', { path }),
    watchTrouble: (why) => tell('watchTrouble', { why }),
    indexMovedAside: (to, why) => tell('indexMovedAside', { to, why }),
    recordsMissing: (records) => tell('recordsMissing', { records }),
    bodiesEvicted: (lane, records, bytes) => tell('bodiesEvicted', { lane, records, bytes }),
    reserveGivenUp: (bytes) => tell('reserveGivenUp', { bytes }),
    queueBlocked: (why) => tell('queueBlocked', { why }),
    queueOpen: () => tell('queueOpen', {}),
    deliveryFailed: (why, attempt, retryInMs) => tell('deliveryFailed', { why, attempt, retryInMs }),
    deliveryRecovered: (attempts) => tell('deliveryRecovered', { attempts }),
    deliveryHeld: (why) => tell('deliveryHeld', { why }),
    deliveryReleased: () => tell('deliveryReleased', {}),
    receiptsLost: (store) => tell('receiptsLost', { store }),
    recordSetAside: (place, stream, why) => tell('recordSetAside', { place, stream, why }),
    recordForked: (place) => tell('recordForked', { place }),
    flushStarted: (bytes) => tell('flushStarted', { bytes }),
    flushEnded: (isDone) => tell('flushEnded', { isDone }),
  }
}

function quote(value: Field): string {
  const text = String(value)
  return /^[\w./:@+-]+$/.test(text) ? text : JSON.stringify(showText(text))
}
