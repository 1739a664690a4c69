import { expect, test } from 'vitest'
import { storeFaultOf } from '../../server-stub/store/store-fault.ts'

test.each([
  ['ENOSPC', 'STORE_FULL'],
  // As Node says EDQUOT.
  ['Unknown system error -122', 'STORE_FULL'],
  ['EROFS', 'STORE_UNWRITABLE'],
  ['Unknown system error -117', 'STORE_UNWRITABLE'],
])('a store that the system answers with %s is told as %s', (code, fault) => {
  expect(storeFaultOf(code)).toBe(fault)
})
