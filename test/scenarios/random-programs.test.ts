import { expect, test } from 'vitest'
import { checkPrograms } from '../kit/program-check.ts'
import { chooseSeed } from '../kit/seeded.ts'

const programs = 40

test('whatever befalls files, agent, queue, link and clock: each byte is at the server once, or named as lost', async () => {
  const verdict = await checkPrograms(programs, chooseSeed(), console.error)
  if (!verdict.ok) throw new Error(verdict.report)
  expect(verdict.counts.programs).toBe(programs)
})
