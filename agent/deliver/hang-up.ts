import { mediaTypes } from '../../protocol/contract.ts'
import type { Answer } from './link.ts'
import type { Course } from './meaning.ts'

/**
 * Ends the connection after an answer that nobody signed: it may lead to another of several servers behind one address, and
 * would be kept for ever. Not where a server as ours is busy, or wants less at a time, and says so in a problem (RFC 9457).
 */
export function hangUpOn(answer: Answer, course: Course): void {
  if (answer.is === 'cut') return
  const isProblem = answer.mediaType === mediaTypes.problem
  const isPassing = course === 'retry' || course === 'smaller'
  if (!isProblem || !isPassing) answer.hangUp?.()
}
