/** What must hold of a run on a bad link: counts, and one time, the agent's own deadline, of which it may not speak. */
import type { Row } from './bench-link-rows.ts'

/** The head of a request that was answered, of which each carries a record or more; and its part of a question. */
const mostHeadBytes = 1024
/** Questions what the server takes: at the start, each minute or five, and after each cut. */
const mostOtherRequests = 16

export interface Counted {
  /** Towards the server, whatever they were. */
  readonly sentBytes: number
  /** Of these, what was on connections that were cut, and had no answer. */
  readonly unansweredBytes: number
  /** Of all records stored. */
  readonly recordBytes: number
  readonly records: number
  /** Why attempts came to nothing while the link was there, each. */
  readonly failures: readonly string[]
}

/** A line for each thing that does not hold. */
export function brokenBy(row: Row, counted: Counted): string[] {
  const { sentBytes, recordBytes, failures } = counted
  const [beyond, most] = [sentBytes - recordBytes, mostBeyond(counted)]
  const abandoned = isCut(row) ? failures.filter((why) => why.includes(standingStill)) : failures
  return [
    ...abandoned.map((why) => `given up though nothing broke: ${why}`),
    ...(beyond <= most ? [] : [`${beyond} bytes that are no new record, of at most ${most}`]),
  ]
}

/** As the agent says it. A link that is cut is not one that stands still. */
const standingStill = 'nothing moved'

/**
 * What was in flight when the link was cut is sent again at the most, and nothing else. Who asked nobody after a cut and sent
 * all of it anew would pass, too: the tests of doubts look at that.
 */
function mostBeyond({ unansweredBytes, records }: Counted): number {
  return (records + mostOtherRequests) * mostHeadBytes + unansweredBytes
}

const isCut = ({ weather }: Row): boolean => weather.some((step) => step.isCut === true)

/** Why attempts failed, by the agent's journal. Before the weather begins the link refuses: that is none of its failures. */
export function failuresIn(journal: string): string[] {
  const failures = journal.matchAll(/ deliveryFailed why=("(?:[^"\\]|\\.)*"|\S+)/g)
  return [...failures].map(([, why = '']) => why).filter((why) => !why.includes('ECONNREFUSED'))
}
