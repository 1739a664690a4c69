import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { handleLimit, spareHandles } from '../../agent/capture/spare-handles.ts'
import { realWorld } from '../../agent/world.ts'

const { files } = realWorld()
const saying = (text: string) => ({ readWhole: async () => Buffer.from(text) })
const refusing = { readWhole: async () => Promise.reject(new Error('EACCES')) }
const limits = (soft: string): string =>
  `Max processes             63  63  processes \nMax open files            ${soft}    524288   files     \n`

test('how many handles there may be is what the kernel says', async () => {
  const said = execFileSync('sh', ['-c', `grep '^Max open files' /proc/${process.pid}/limits`]).toString()
  expect(said).toContain(` ${await handleLimit(files)} `)
})

test('the soft limit counts, and where there is none, or nobody knows it, nothing is bounded', async () => {
  expect(await handleLimit(saying(limits('1024')))).toBe(1024)
  expect(await handleLimit(saying(limits('unlimited')))).toBe(Infinity)
  expect(await handleLimit({ readWhole: async () => undefined })).toBe(Infinity)
  expect(await handleLimit(refusing)).toBe(Infinity)
})

test('with log files and queue together, 56 handles stay free for the rest, as long as log files have four', () => {
  const counts = [fc.integer({ min: 8, max: 65_536 }), fc.nat(10_000), fc.nat(2000)] as const
  fc.assert(
    fc.property(...counts, (wanted, limit, queued) => {
      const logFiles = spareHandles(wanted, limit, queued)
      expect(logFiles).toBeLessThanOrEqual(wanted)
      expect(logFiles).toBeGreaterThanOrEqual(4)
      expect(logFiles === 4 || logFiles + queued + 56 <= limit).toBe(true)
    }),
  )
  expect(spareHandles(256, Infinity, 10)).toBe(256)
  expect(spareHandles(256, 100, 4)).toBe(40)
})
