import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { senseOfFailure, senseOfRefusal, senseOfStatus } from '../../agent/deliver/meaning.ts'
import { refusals } from '../../protocol/refusal.ts'
import { problems } from '../../server-stub/faults.ts'
import { meaningTables } from './meaning-page.ts'

const page = new URL('../../docs/delivery.md', import.meta.url)
const [opening, closing] = ['<!-- answers: made from agent/deliver/meaning.ts -->', '<!-- end of answers -->']

test('docs/delivery.md says what the table of answers says', () => {
  const text = readFileSync(page, 'utf8')
  const [before = '', rest = ''] = text.split(opening)
  const after = rest.split(closing)[1] ?? ''
  const made = `${before}${opening}\n\n${meaningTables()}\n\n${closing}${after}`
  if (process.env['LOGBOX_MAKE_PAGES']) writeFileSync(page, made)
  expect(text).toBe(made)
})

describe('of what an answer means', () => {
  test('every status has a sense, and only 200 brings a receipt', () => {
    for (let status = 200; status < 600; status++) {
      expect(senseOfStatus(status).course === 'receipt').toBe(status === 200)
    }
  })

  test('nothing that says "later" drops, shrinks or sets aside anything', () => {
    for (const status of [429, ...Array.from({ length: 100 }, (_, index) => 500 + index)]) {
      expect(['retry', 'portal']).toContain(senseOfStatus(status).course)
    }
  })

  test('every problem of the server and every refusal of the format has its own', () => {
    for (const { status } of Object.values(problems)) expect(senseOfStatus(status).says).not.toBe('')
    for (const code of Object.keys(refusals))
      expect(senseOfRefusal(code)).not.toBe(senseOfRefusal('NEW_CODE'))
    expect(senseOfRefusal('NEW_CODE').course).toBe('aside')
  })

  test('a network error that nobody knows is a connection that broke', () => {
    expect(senseOfFailure('EWHATEVER')).toEqual(senseOfFailure('ECONNRESET'))
  })
})
