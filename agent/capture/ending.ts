import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import type { LossReason } from '../../protocol/manifest.ts'
import type { Journal } from '../journal.ts'
import type { LossArrival } from '../queue/arrival.ts'
import type { Lane } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts } from '../world.ts'

/** A generation of which nothing more can be read. */
export interface Ended {
  readonly label: StreamLabel
  readonly lane: Lane
  readonly point: ResumePoint
  /** 'receiptsLost': all of it is read again in another stream. */
  readonly why: Extract<LossReason, 'truncated' | 'overwritten' | 'deleted'> | 'receiptsLost'
}

/**
 * How it ended where its file may have been cut short after its size was asked for, and before its bytes were. As far as anybody
 * knows the size was its own; what begins now never had that.
 */
export function endedBetween(
  ended: Pick<Ended, 'point' | 'why'>,
  { size }: FileFacts,
  now: FileFacts,
): Pick<Ended, 'point' | 'why'> {
  if (now.size >= size) return ended
  const { point } = ended
  return { point: { ...point, seenBytes: Math.max(point.seenBytes ?? 0, size) }, why: 'truncated' }
}

type Loss = Pick<LossArrival, 'kind' | 'offset' | 'reason'> & { readonly length: number }

/**
 * Where its unread bytes are known to have stood: from the resume point to the largest size that was seen, but for what records
 * name all the same, as where the queue lost the resume point and not them.
 */
async function lossesOf(
  { stream, position, seenBytes = 0 }: ResumePoint,
  reason: LossReason,
  queue: Queue,
): Promise<readonly Loss[]> {
  const unread = position < seenBytes ? await queue.unnamed(stream, position, seenBytes) : []
  return unread.map(({ offset, length }) => ({ kind: 'loss', offset: offset as ByteOffset, length, reason }))
}

/**
 * Ends a stream: what is known to have been in it and was never read becomes a loss record. False where the queue takes
 * nothing any more; then the resume point stays, and knows what the loss will be.
 */
export async function endStream(
  { label, lane, point, why }: Ended,
  queue: Queue,
  journal: Journal,
  patience: AbortSignal,
): Promise<boolean> {
  const { stream } = point
  const losses = why === 'receiptsLost' ? [] : await lossesOf(point, why, queue)
  // The wait for room may outlast this run.
  if (losses.length > 0) await queue.setResumePoint(point)
  for (const loss of losses) {
    const resume = loss === losses.at(-1) ? null : 'stays'
    if (!(await queue.append({ ...loss, label, lane, resume }, patience))) return false
    journal.bytesLost(showLogPath(label.path), stream, loss.offset, loss.length, loss.reason)
  }
  if (losses.length === 0) await queue.endStream(stream)
  journal.streamEnded(showLogPath(label.path), stream, why)
  return true
}
