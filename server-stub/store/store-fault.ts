import type { FaultCode } from '../faults.ts'

/** No room for the disk, or for this user of it. For EDQUOT Node has no name, and gives its number on Linux. */
const full = new Set(['ENOSPC', 'Unknown system error -122'])

/** What a store says of a failure that the system gives this code. */
export function storeFaultOf(code: string): FaultCode {
  return full.has(code) ? 'STORE_FULL' : 'STORE_UNWRITABLE'
}
