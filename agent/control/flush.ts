import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Capture } from '../capture/capture.ts'
import type { Generation } from '../capture/generation.ts'
import type { Place } from '../queue/index-entry.ts'
import type { Queue } from '../queue/queue.ts'
import type { World } from '../world.ts'
import { reportedPath } from './reported-path.ts'
import type { FileReport, FlushReport, RemainingFile } from './report.ts'
import { tellCountsOfAll, tellFiles, type Running } from './tell-status.ts'

/** A file, and how much of it stood there when the flush began. */
interface Target {
  generation: Generation
  size: number
  /** After so many turns it is known whether what stands there is still this generation. */
  settledAfter: number
}

const reportEveryMs = 200
const outOfReach = 'it is not where it was, and nothing says that it is gone'
const notReadOnceMore = 'it may have been changed in place, and was not yet read once more'
/** Of a file that has still to have a turn, for which there may be more, or other, bytes than its sizes tell. */
export const notLookedInto = 'what stands in it now was not yet looked into'

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
  let wasTroubled = capture.troubles.size > 0
  for (;;) {
    const seen = queue.changed.rings
    aimAgain(targets, capture)
    // What they are is settled by a look, which may also be the one to find what had a trouble.
    if (targets.some((target) => isLeft(target, queue)) || capture.isEndingStreams) await capture.look()
    if (wasTroubled && capture.troubles.size === 0) {
      targets = await aim(capture)
      targetBytes = countBytes(running, targets)
      end = undefined
    }
    wasTroubled = capture.troubles.size > 0
    if (targets.some((target) => isWaitingToBeClosed(target) || isDraining(target, queue))) capture.closeNow()
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

/** Nobody follows it any more, and what is known to be unread of it is not yet named as lost: it may be somewhere. */
function isLeft({ generation: { isOver, label, queuedTo, seenBytes }, size }: Target, queue: Queue): boolean {
  return isOver && queuedTo < Math.min(size, seenBytes) && queue.resumePoints.has(label.stream)
}

/** All of it is in the queue, or beyond; of a file that ended before, no more can ever be. */
function isTaken(target: Target, queue: Queue): boolean {
  const { generation, size } = target
  if (generation.isOver) return !isLeft(target, queue)
  return isSettled(target) && generation.queuedTo >= size && generation.stored === undefined
}

/** It had a turn since it was aimed at. */
function isSettled({ generation, settledAfter }: Target): boolean {
  return generation.turnsEnded >= settledAfter
}

function isAllTaken({ capture, queue }: Running, targets: readonly Target[]): boolean {
  return queue.areHolesMended && !capture.isEndingStreams && targets.every((target) => isTaken(target, queue))
}

/** It may have been written to in place, and what was shipped is not compared with it yet. */
function isWaitingToBeClosed({ generation }: Target): boolean {
  return generation.closing !== 'none' && !generation.isOver
}

/** Nothing leads to it any more: if it had no handle when it went, it is to be let go. */
function isDraining(target: Target, queue: Queue): boolean {
  const { isListed, isOver } = target.generation
  return !isListed && !isOver && !isTaken(target, queue)
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
  const unreadBytes = targets.reduce((sum, target) => sum + unqueuedBytes(target, queue), 0)
  const queuedRecords = queue.ledger.records
  return { receiptedBytes, queuedBytes, unreadBytes, lostBytes, queuedRecords, link: delivery.report }
}

function unqueuedBytes(target: Target, queue: Queue): number {
  const { generation, size } = target
  return generation.isOver && !isLeft(target, queue) ? 0 : Math.max(0, size - generation.queuedTo)
}

function tellRemaining(running: Running, targets: readonly Target[]): readonly RemainingFile[] {
  const { queue } = running
  const unread = new Map<string, number>(
    targets.map((target) => [target.generation.label.stream, unqueuedBytes(target, queue)]),
  )
  const undone = new Map<string, string>(
    targets.map((target) => [target.generation.label.stream, whyUndone(target)]),
  )
  const tell = (file: FileReport): RemainingFile => {
    const { path, pathBytes, queuedBytes, trouble = undone.get(file.stream) ?? '' } = file
    const of = pathBytes === undefined ? { path } : { path, pathBytes }
    return { ...of, unreadBytes: unread.get(file.stream) ?? 0, queuedBytes, trouble }
  }
  const told = tellFiles(running)
  const streams = new Set(told.map(({ stream }) => stream))
  const left = targets.filter(
    (target) => isLeft(target, queue) && !streams.has(target.generation.label.stream),
  )
  return [...told.map(tell), ...left.map((target) => tellLeft(target, queue))].filter(
    ({ unreadBytes, queuedBytes, trouble }) => unreadBytes + queuedBytes > 0 || trouble !== '',
  )
}

/** Though all of its bytes may be in the queue; empty where nothing more is to be done with it. */
function whyUndone(target: Target): string {
  if (isWaitingToBeClosed(target)) return notReadOnceMore
  return target.generation.isOver || isSettled(target) ? '' : notLookedInto
}

function tellLeft(target: Target, queue: Queue): RemainingFile {
  const of = reportedPath(logPathToBytes(target.generation.label.path))
  return { ...of, unreadBytes: unqueuedBytes(target, queue), queuedBytes: 0, trouble: outOfReach }
}
