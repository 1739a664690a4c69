import type { FlushReport } from '../control/report.ts'
import { roughDuration, roughSize } from '../units.ts'
import { countOf, linkWords } from './link-words.ts'

/** A flush as it was followed so far. */
export interface Progress {
  /** What was to be delivered when it began. */
  readonly targetBytes: number
  /** How much of it was left at some moments of the last few seconds, oldest first. */
  readonly pace: readonly { readonly atMs: number; readonly leftBytes: number }[]
}

/** Receipts come in bursts of a batch: a shorter look back would jump. */
const windowMs = 8000
/** A rate before that would be an accident. */
const leastWindowMs = 1000
const barWidth = 24

/** The progress once this report came, at a time that never goes back. */
export function observe(progress: Progress | undefined, report: FlushReport, atMs: number): Progress {
  const bytes = report.done ? 0 : report.queuedBytes + report.unreadBytes
  const targetBytes = progress?.targetBytes ?? bytes
  const recent = progress?.pace.filter((sample) => atMs - sample.atMs <= windowMs) ?? []
  // A log that grows meanwhile puts more into the queue than this flush is about.
  return { targetBytes, pace: [...recent, { atMs, leftBytes: Math.min(bytes, targetBytes) }] }
}

/** Undefined until there is something to say. */
export function bytesPerSecond({ pace }: Progress): number | undefined {
  const [first, last] = [pace[0], pace.at(-1)]
  if (!first || !last || last.atMs - first.atMs < leastWindowMs) return undefined
  return (Math.max(0, first.leftBytes - last.leftBytes) * 1000) / (last.atMs - first.atMs)
}

/** One line, shorter than `columns`, of what the flush has done and what is left. */
export function barLine(report: FlushReport, progress: Progress, columns: number): string {
  const filled = Math.floor(shareOf(progress) * barWidth)
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`
  const characters = Array.from(`${bar} ${progressLine(report, progress)}`)
  // In the last column some terminals begin the next line.
  return characters.slice(0, Math.max(0, columns - 1)).join('')
}

/** "43%  12.3 MiB of 28.0 MiB  17 chunks queued  3.1 MiB/s  6s left" */
export function progressLine({ queuedRecords, link }: FlushReport, progress: Progress): string {
  const { targetBytes } = progress
  const share = `${Math.floor(shareOf(progress) * 100)}%`
  const bytes = `${roughSize(targetBytes - leftOf(progress))} of ${roughSize(targetBytes)}`
  const what = link.is === 'waiting' || link.is === 'held' ? [`link ${linkWords(link)}`] : rateWords(progress)
  return [share, bytes, `${countOf(queuedRecords, 'chunk')} queued`, ...what].join('  ')
}

function rateWords(progress: Progress): readonly string[] {
  const rate = bytesPerSecond(progress)
  if (rate === undefined) return []
  const shown = `${roughSize(rate)}/s`
  return rate > 0 ? [shown, `${roughDuration((leftOf(progress) / rate) * 1000)} left`] : [shown]
}

function shareOf(progress: Progress): number {
  return progress.targetBytes === 0 ? 1 : 1 - leftOf(progress) / progress.targetBytes
}

function leftOf({ pace }: Progress): number {
  return pace.at(-1)?.leftBytes ?? 0
}
