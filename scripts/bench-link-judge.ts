/** What must hold of a run on a bad link however busy the machine is: counts, and no times. */
import type { Row } from './bench-link-rows.ts'

/** As the agent has it: six, and two more for what is urgent. A cut costs each of them one record at the most. */
const mostRequests = 8
/** The head of a request, of which each carries a record or more; and its part of a question. */
const mostHeadBytes = 1024

export interface Counted {
  /** Towards the server, whatever they were. */
  readonly sentBytes: number
  /** Of all records stored, and of the largest. */
  readonly recordBytes: number
  readonly largestBytes: number
  readonly records: number
  /** Why attempts came to nothing while the link was there, each. */
  readonly failures: readonly string[]
}

/** A line for each thing that does not hold. */
export function brokenBy(row: Row, counted: Counted): string[] {
  const cuts = cutsOf(row)
  const { sentBytes, recordBytes, failures } = counted
  const [beyond, most] = [sentBytes - recordBytes, mostBeyond(counted, cuts)]
  return [
    ...(cuts > 0 ? [] : failures.map((why) => `given up though nothing broke: ${why}`)),
    ...(beyond <= most ? [] : [`${beyond} bytes that are no new record, of at most ${most}`]),
  ]
}

function mostBeyond({ largestBytes, records, failures }: Counted, cuts: number): number {
  const requests = records + mostRequests * (failures.length + 1)
  return requests * mostHeadBytes + cuts * mostRequests * largestBytes
}

/** How often the weather of a row cuts the link. */
export function cutsOf({ weather, seconds }: Pick<Row, 'weather' | 'seconds'>): number {
  const periodMs = weather.reduce((sum, { forMs }) => sum + forMs, 0)
  const cuts = weather.filter(({ isCut }) => isCut === true).length
  return Math.ceil((cuts * seconds * 1000) / periodMs)
}

/** Why attempts failed, by the agent's journal. Before the weather begins the link refuses: that is none of its failures. */
export function failuresIn(journal: string): string[] {
  const failures = journal.matchAll(/ deliveryFailed why=("(?:[^"\\]|\\.)*"|\S+)/g)
  return [...failures].map(([, why = '']) => why).filter((why) => !why.includes('ECONNREFUSED'))
}
