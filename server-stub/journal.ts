import type { DeviceId } from '../protocol/ids.ts'
import type { Query } from '../protocol/query.ts'
import type { Receipt, ReceiptEntry } from '../protocol/receipt.ts'
import { showText } from '../protocol/show-text.ts'
import type { Commit } from './catalog/catalog.ts'
import type { Clock } from './clock.ts'
import type { ProblemCode } from './faults.ts'
import type { Meters, RequestFacts } from './metrics.ts'
import type { BlobKey } from './store/blob-store.ts'

/** What happens, told at the moment it has happened. A test may put its own in place of it. */
export interface Journal {
  /** A blob that a crash had left unknown is in the catalog. */
  adopted(blob: BlobKey, records: number): void
  listening(url: string): void
  /** The records are on the disk, under their final names. */
  stored(commit: Commit): void
  /** The catalog's transaction is on the disk. */
  committed(commit: Commit): void
  /** The receipt was handed to the kernel. */
  receiptSent(receipt: Receipt): void
  refused(device: DeviceId | undefined, place: ReceiptEntry['place'], refusal: string): void
  /** A device asked what is here, and was answered or not. */
  queried(asks: Query['asks'], answer: 'answered' | ProblemCode): void
  turnedAway(problem: ProblemCode): void
  /** The store or the catalog could not do its work. */
  failed(problem: ProblemCode, why: string): void
  requestEnded(request: RequestFacts): void
  broken(error: unknown): void
  stopped(): void
}

type Field = string | number | null | undefined

/** Writes a line of logfmt for what a person may ask about, and moves the counters. */
export function writingJournal(write: (line: string) => void, meters: Meters, clock: Clock): Journal {
  const tell = (fact: string, fields: Record<string, Field>): void =>
    write(logfmt({ time: new Date(clock.now()).toISOString(), fact, ...fields }))
  return {
    adopted: (blob, records) => tell('adopted', { blob, records }),
    listening: (url) => tell('listening', { url }),
    stored: (commit) => meters.stored(commit),
    committed: (commit) => {
      meters.committed(commit)
      for (const fork of forksIn(commit)) tell('forked', { device: commit.device, ...fork })
    },
    receiptSent: (receipt) => {
      meters.receiptSent(receipt)
      tell('receiptSent', { device: receipt.device, ...countOutcomes(receipt) })
    },
    refused: (device, place, refusal) => {
      meters.refused(refusal)
      tell('refused', { device, epoch: place?.epoch, seq: place?.seq, refusal })
    },
    queried: (asks, answer) => meters.queried(asks, answer),
    turnedAway: (problem) => {
      meters.turnedAway(problem)
      tell('turnedAway', { problem })
    },
    failed: (problem, why) => {
      meters.turnedAway(problem)
      tell('failed', { problem, why })
    },
    requestEnded: (request) => meters.requestEnded(request),
    broken: (error) => tell('broken', { error: error instanceof Error ? error.stack : String(error) }),
    stopped: () => tell('stopped', {}),
  }
}

function forksIn({ records }: Commit): { epoch: number; seq: number; blob: string }[] {
  const forks = records.filter(({ row }) => row.role === 'fork')
  return forks.map(({ row }) => ({ epoch: row.epoch, seq: row.seq, blob: row.at.blob }))
}

function countOutcomes({ entries }: Receipt): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of entries) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

function logfmt(fields: Record<string, Field>): string {
  const told = Object.entries(fields).filter(([, value]) => value !== undefined)
  return `${told.map(([name, value]) => `${name}=${quoted(String(value))}`).join(' ')}\n`
}

function quoted(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : `"${showText(text).replaceAll('"', String.raw`\"`)}"`
}
