import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { problems } from '../../server-stub/faults.ts'

const document = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8')

test('docs/wire-format.md lists each problem that the server answers, with its status and meaning', () => {
  const [, section = ''] = document.split(/^## Problems$/m)
  const [table = ''] = section.split(/^## /m)
  const rows = [...table.matchAll(/^\| ([A-Z_]+) +\| (\d+) +\| (.*?) +\|$/gm)]
  const listed = rows.map(([, code, status, title]) => [code, { status: Number(status), title }])

  expect(listed).toEqual(Object.entries(problems))
})
