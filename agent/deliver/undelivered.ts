import type { Meaning } from './read-answer.ts'

type Failed = Extract<Meaning, { is: 'failed' }>

/** A request after which something that was sent is not known to be stored. */
export class Undelivered extends Error {
  readonly course: Failed['course']
  readonly retryAfterMs: number
  /** No answer came: there may be no link. */
  readonly isCut: boolean

  constructor(why: string, facts: Partial<Pick<Undelivered, 'course' | 'retryAfterMs' | 'isCut'>> = {}) {
    super(why)
    this.course = facts.course ?? 'retry'
    this.retryAfterMs = facts.retryAfterMs ?? 0
    this.isCut = facts.isCut ?? false
  }
}
