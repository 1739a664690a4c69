import type { Capture } from '../capture/capture.ts'
import type { Generation } from '../capture/generation.ts'
import type { Place } from '../queue/index-entry.ts'
import type { Queue } from '../queue/queue.ts'
import type { World } from '../world.ts'
import type { FlushReport, RemainingFile } from './report.ts'
import { tellCountsOfAll, tellFiles, type Running } from './tell-status.ts'

/** A file, and how much of it stood there when the flush began. */
interface Target {
  generation: Generation
  size: number
  /** After so many turns it is known whether what stands there is still this generation. */
  settledAfter: number
}

const reportEveryMs = 200
const notReadOnceMore = 'it may have been changed in place, and was not yet read once more'

/**
 * Has everything that stands in the watched files read, cut and delivered. Yields how far it is about five times a second;
 * the last report says `done`, or, when the time is up or the signal fires, what remains.
 */
export async function* flush(
  running: Running,
  { clock, journal }: World,
  timeoutMs: number,
  signal: AbortSignal,
): AsyncGenerator<FlushReport, void, undefined> {
  const { capture, queue, delivery } = running
  const deadlineMs = clock.monotonicMs() + timeoutMs
  let targets = await aim(capture)
  delivery.hurry()
  let targetBytes = countBytes(running, targets)
  journal.flushStarted(targetBytes)
  let end: Place | undefined
  let wasTroubled = false
  for (;;) {
    const seen = queue.changed.rings
    if (wasTroubled && capture.troubles.size === 0) {
      targets = await aim(capture)
      targetBytes = countBytes(running, targets)
      end = undefined
    }
    wasTroubled = capture.troubles.size > 0
    aimAgain(targets, capture)
    if (targets.some(isWaitingToBeClosed)) capture.closeNow()
    else if (isAllTaken(running, targets)) end ??= placeOfNext(queue)
    const isDone =
      !capture.isStopped &&
      capture.troubles.size === 0 &&
      end !== undefined &&
      !(await queue.holdsBefore(end))
    const isOver = isDone || signal.aborted || clock.monotonicMs() >= deadlineMs
    const report = { ...tellFlush(running, targets), done: isDone, targetBytes }
    if (isOver) journal.flushEnded(isDone)
    if (isOver) return yield isDone ? report : { ...report, remaining: tellRemaining(running, targets) }
    yield report
    await queue.changed.waitBeyond(seen, reportEveryMs, clock, signal)
    await clock.sleep(Math.max(0, Math.min(reportEveryMs, deadlineMs - clock.monotonicMs())), signal)
  }
}

/** The files that can be read now. Others have troubles, and the flush is not done before they were aimed at, too. */
async function aim(capture: Capture): Promise<Target[]> {
  await capture.look()
  return capture.cutNow().map(targetOf)
}

function targetOf(generation: Generation): Target {
  return { generation, size: generation.flushTo, settledAfter: generation.turnsToSettle }
}

/** What stood in a file that turned out to be truncated, or to have another identity, belongs to the generation that follows. */
function aimAgain(targets: readonly Target[], capture: Capture): void {
  for (const target of targets) {
    const { isOver, key, label } = target.generation
    const next = isOver ? (capture.followedAs(key) ?? capture.followedIn(label.stream)) : undefined
    if (!next) continue
    target.generation = next
    target.size = next.size
    target.settledAfter = next.turnsToSettle
    capture.hurry(next, next.size)
  }
}

/** All of it is in the queue, or beyond; of a file that ended before, no more can ever be. */
function isTaken({ generation, size, settledAfter }: Target): boolean {
  if (generation.isOver) return true
  const isSettled = generation.turnsEnded >= settledAfter
  return isSettled && generation.queuedTo >= size && generation.stored === undefined
}

function isAllTaken({ capture, queue }: Running, targets: readonly Target[]): boolean {
  return queue.areHolesMended && !capture.isEndingStreams && targets.every(isTaken)
}

/** It may have been written to in place, and what was shipped is not compared with it yet. */
function isWaitingToBeClosed({ generation }: Target): boolean {
  return generation.closing !== 'none' && !generation.isOver
}

function placeOfNext(queue: Queue): Place {
  const { epoch, next } = queue.head
  return { epoch, seq: next }
}

/** All that there is to deliver. */
function countBytes(running: Running, targets: readonly Target[]): number {
  const { receiptedBytes, queuedBytes, unreadBytes } = tellFlush(running, targets)
  return receiptedBytes + queuedBytes + unreadBytes
}

function tellFlush(running: Running, targets: readonly Target[]): Omit<FlushReport, 'done' | 'targetBytes'> {
  const { queue, delivery } = running
  const { receiptedBytes, queuedBytes, lostBytes } = tellCountsOfAll(running)
  const unreadBytes = targets.reduce((sum, target) => sum + unqueuedBytes(target), 0)
  const queuedRecords = queue.ledger.records
  return { receiptedBytes, queuedBytes, unreadBytes, lostBytes, queuedRecords, link: delivery.report }
}

function unqueuedBytes({ generation, size }: Target): number {
  return generation.isOver ? 0 : Math.max(0, size - generation.queuedTo)
}

function tellRemaining(running: Running, targets: readonly Target[]): readonly RemainingFile[] {
  const unread = new Map(
    targets.map((target) => [target.generation.label.stream as string, unqueuedBytes(target)]),
  )
  const unclosed = new Set(
    targets.filter(isWaitingToBeClosed).map(({ generation }) => generation.label.stream as string),
  )
  const files = tellFiles(running).map((file): RemainingFile => {
    const { path, queuedBytes, trouble = unclosed.has(file.stream) ? notReadOnceMore : '' } = file
    return { path, unreadBytes: unread.get(file.stream) ?? 0, queuedBytes, trouble }
  })
  return files.filter(
    ({ unreadBytes, queuedBytes, trouble }) => unreadBytes + queuedBytes > 0 || trouble !== '',
  )
}
