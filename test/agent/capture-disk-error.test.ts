import { expect, test } from 'vitest'
import { isDiskError } from '../../agent/capture/disk-error.ts'

const coded = (code: string, cause?: Error): Error => Object.assign(new Error(code, { cause }), { code })

test.each([
  ['what the system says', coded('EIO')],
  ['what Node has no name for, as EUCLEAN of a damaged file system', coded('Unknown system error -117')],
  ['what LevelDB says of its files', coded('LEVEL_IO_ERROR')],
  ['what another error has as its cause', new Error('it does not open', { cause: coded('ENOSPC') })],
])('%s is of the disk', (_, error) => {
  expect(isDiskError(error)).toBe(true)
})

test.each([
  ['a bug', new TypeError('undefined is not a function')],
  ['a wrong use of Node', coded('ERR_INVALID_ARG_TYPE')],
  ['a wrong use of LevelDB', coded('LEVEL_DATABASE_NOT_OPEN')],
  ['what is no error', 'EIO'],
])('%s is not', (_, error) => {
  expect(isDiskError(error)).toBe(false)
})
