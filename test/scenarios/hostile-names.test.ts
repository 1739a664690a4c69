import { readdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'

const names = [
  'line\nbreak.log',
  'carriage\rreturn',
  '\u001b[2Jescape',
  `${'long'.repeat(63)}.lg`,
  'dots...',
  'up..%2f..%2fetc%2fpasswd',
  '-rf',
  'a space and "quotes"',
  'back\\slash',
  '[a-z]*.log',
  'ünïcödé.log',
  Buffer.from([0xff, 0xfe, 0x2e, 0x6c, 0x6f, 0x67]),
  Buffer.from([0xc3, 0x28]),
]

test('whatever a file is called, it arrives byte for byte, and no name becomes a path on the server', async () => {
  await using flight = await Flight.start()
  for (const [index, name] of names.entries()) {
    const path = Buffer.concat([Buffer.from(`${flight.logs}/`), Buffer.from(name)])
    await writeFile(path, `file ${index}\n`.repeat(index + 1))
  }
  await flight.startAgent()
  await flight.land()
  await flight.expectWhole()
  const files = await readdir(flight.data, { recursive: true })
  expect(files.filter((file) => !/^[a-z0-9._/-]+$/.test(file) || file.includes('..'))).toEqual([])
  const { stdout } = await flight.serverCommand('files')
  expect(stdout.trimEnd().split('\n')).toHaveLength(names.length)
  expect(stdout).not.toContain('\u001b')
  const status = await flight.agentCommand('status')
  expect(status.stdout).not.toContain('\u001b')
  expect(status.stdout).not.toContain('\r')
  await flight.expectQueueEmpty()
})
