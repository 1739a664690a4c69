import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Sortie } from '../kit/sortie.ts'

/** What an auditor is told of places in the chain that were taken twice. */
const codesOf = (findings: readonly string[]): ReadonlySet<unknown> =>
  new Set(findings.map((finding) => (JSON.parse(finding) as { code?: unknown }).code))

/** A first file is on the server; gives a copy of the state as it is then. */
async function landedAndCopied(sortie: Sortie): Promise<string> {
  const backup = join(sortie.folder, 'backup')
  await sortie.agent.start()
  await sortie.append('a.log', 'one\n')
  await sortie.land()
  await sortie.agent.stop()
  await cp(sortie.state, backup, { recursive: true })
  return backup
}

async function putBack({ state }: Sortie, backup: string): Promise<void> {
  await rm(state, { recursive: true })
  await cp(backup, state, { recursive: true })
}

test('a state folder that is put back to how it was: the server gets every byte in its file, and verify names the forks', async () => {
  await using sortie = await Sortie.start({ haste: 50 })
  const backup = await landedAndCopied(sortie)

  await sortie.agent.start()
  await sortie.append('a.log', 'two\n')
  await sortie.append('b.log', 'first of b\n')
  await sortie.land()
  await sortie.agent.stop()
  await putBack(sortie, backup)

  sortie.linkDown()
  await sortie.append('c.log', 'first of c\n')
  await sortie.agent.start()
  await sortie.agent.statusUntil(
    ({ files }) => files.length === 3 && files.every(({ queuedBytes }) => queuedBytes > 0),
  )
  sortie.linkUp()
  await sortie.append('a.log', 'three\n')
  await sortie.land()
  await sortie.agent.stop()

  const streams = await sortie.streams()
  const contents = Map.groupBy(streams, ({ path }) => path)
  for (const [name, bytes] of [
    ['a.log', 'one\ntwo\nthree\n'],
    ['c.log', 'first of c\n'],
  ] as const) {
    expect(contents.get(name)?.map((stream) => String(stream.bytes))).toEqual([bytes])
  }
  // Nothing was left here that told of its stream.
  expect(contents.get('b.log')?.map((stream) => String(stream.bytes))).toEqual([
    'first of b\n',
    'first of b\n',
  ])
  expect(streams.flatMap(({ missing }) => missing)).toEqual([])
  expect(codesOf(await sortie.verify())).toEqual(new Set(['FORK', 'CHAIN_BROKEN']))
})

/** A closed file waits, in places of the chain that an agent before the state was put back has used. */
async function closedWherePutBack(sortie: Sortie, content: string): Promise<void> {
  const backup = await landedAndCopied(sortie)
  await sortie.agent.start()
  await sortie.append('b.log', 'first of b\n')
  await sortie.agent.statusUntil(({ files }) => files.some(({ receiptedBytes }) => receiptedBytes === 11))
  await sortie.agent.stop()
  await putBack(sortie, backup)
  await sortie.remove('b.log')
  sortie.linkDown()
  await sortie.append('c.log', content)
  await sortie.agent.start()
  await sortie.agent.statusUntil(({ files }) =>
    files.some(({ path, state }) => path.endsWith('c.log') && state === 'closed'),
  )
}

test('what was shipped in place of other bytes stays the last, though the record of those is sealed anew', async () => {
  const source = { format: 'binary', closeAfter: '2s' }
  await using sortie = await Sortie.start({ haste: 50, source })
  await closedWherePutBack(sortie, 'old header, body\n')
  const { queue } = await sortie.agent.status()
  await sortie.patch('c.log', 0, 'NEW')
  await sortie.agent.statusUntil((now) => now.queue.records >= queue.records + 2)
  sortie.linkUp()
  await sortie.land()
  await sortie.agent.stop()
  const streams = await sortie.streams()
  expect(String(streams.find(({ path }) => path === 'c.log')?.bytes)).toBe('NEW header, body\n')
})

test('what is sealed anew of a closed file does not count as changed since: the server has its end behind it', async () => {
  const source = { format: 'binary', closeAfter: '2s' }
  await using sortie = await Sortie.start({ haste: 50, source })
  await closedWherePutBack(sortie, 'all of c\n')
  sortie.linkUp()
  await sortie.land()
  await sortie.agent.stop()
  const stream = (await sortie.streams()).find(({ path }) => path === 'c.log')
  expect([String(stream?.bytes), stream?.whole, stream?.close?.length]).toEqual(['all of c\n', true, 9])
})
