import { Fault } from '../../protocol/fault.ts'
import { serverFault, type FaultCode } from '../faults.ts'

/** SQLite's primary result codes (sqlite.org/rescode.html), and what each means to whoever asked. */
const faultOfResult: Record<number, FaultCode> = {
  1: 'CATALOG_DAMAGED', // ERROR: the statements are fixed, so it is the tables that are not
  3: 'STORE_UNWRITABLE', // PERM
  5: 'CATALOG_BUSY',
  6: 'CATALOG_BUSY', // LOCKED
  8: 'STORE_UNWRITABLE', // READONLY
  10: 'STORE_UNWRITABLE', // IOERR
  11: 'CATALOG_DAMAGED', // CORRUPT
  13: 'STORE_FULL',
  14: 'STORE_UNWRITABLE', // CANTOPEN
  26: 'CATALOG_DAMAGED', // NOTADB
}

export const isBusy = (error: unknown): boolean => error instanceof Fault && error.code === 'CATALOG_BUSY'

/** Runs what asks SQLite; what fails as it may is a Fault. */
export function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const code = cause instanceof Fault ? undefined : faultOf(cause)
    if (!code) throw cause
    throw serverFault(code, `the catalog fails: ${cause instanceof Error ? cause.message : ''}`, { cause })
  }
}

function faultOf(error: unknown): FaultCode | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  // A number that no double holds was not written by this program.
  if (error.code === 'ERR_OUT_OF_RANGE') return 'CATALOG_DAMAGED'
  // Anything else, as a broken constraint, says that the tables are not what ingest made them.
  return 'errcode' in error ? (faultOfResult[Number(error.errcode) & 0xff] ?? 'CATALOG_DAMAGED') : undefined
}
