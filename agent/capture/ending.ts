import type { StreamLabel } from '../../protocol/chunk.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import type { LossReason } from '../../protocol/manifest.ts'
import type { Journal } from '../journal.ts'
import type { Lane } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'

/** A generation of which nothing more can be read. */
export interface Ended {
  readonly label: StreamLabel
  readonly lane: Lane
  readonly point: ResumePoint
  /** 'receiptsLost': all of it is read again in another stream. */
  readonly why: Extract<LossReason, 'truncated' | 'overwritten' | 'deleted'> | 'receiptsLost'
}

/** Where its unread bytes are known to have stood: from the resume point to the largest size that was seen. */
function unreadBytes({ position, seenBytes = 0 }: ResumePoint): number {
  return Math.max(0, seenBytes - position)
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
  const { position: offset, stream } = point
  const length = unreadBytes(point)
  if (why === 'receiptsLost' || length === 0) await queue.endStream(stream)
  else {
    // The wait for room may outlast this run.
    await queue.setResumePoint(point)
    const loss = { kind: 'loss', offset, length, reason: why } as const
    if (!(await queue.append({ ...loss, label, lane, resume: null }, patience))) return false
    journal.bytesLost(showLogPath(label.path), stream, offset, length, why)
  }
  journal.streamEnded(showLogPath(label.path), stream, why)
  return true
}
