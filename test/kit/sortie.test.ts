import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Sortie } from './sortie.ts'
import { differences } from './sortie-ledger.ts'
import type { StoredStream } from './sortie-streams.ts'

async function contentOf(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = names.filter((name) => name.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(
    await Promise.all(paths.map(async (path) => [path, await readFile(path, 'hex')] as const)),
  )
}

describe('an agent of a sortie that was killed', () => {
  test('does nothing more to its disk, and lets the next one have it', async () => {
    await using sortie = await Sortie.start()
    await sortie.agent.start()
    await sortie.append('app.log', 'before\n')
    await sortie.land()
    const files = sortie.append('app.log', 'at the same moment\n')
    await Promise.all([files, sortie.agent.kill()])
    const told = sortie.told.facts.length
    const state = await contentOf(sortie.state)
    await sortie.append('app.log', 'after\n')
    // Time enough for an agent that lives to look a few times: that nothing happens is no fact to wait for.
    await sleep(150)
    expect(await contentOf(sortie.state)).toEqual(state)
    expect(sortie.told.facts).toHaveLength(told)
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([{ path: 'app.log', bytes: 'before\nat the same moment\nafter\n' }])
  })

  test('at any of its first steps leaves a state that the next one can open', async () => {
    await using sortie = await Sortie.start()
    await sortie.append('app.log', 'there from the start\n')
    for (let turns = 0; turns < 10; turns++) {
      const starting = sortie.agent.start().catch((cause: unknown) => cause)
      await sleep(turns)
      await sortie.agent.kill()
      await starting
    }
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([{ path: 'app.log', bytes: 'there from the start\n' }])
  })
})

const stored: StoredStream = {
  path: 'a.log',
  stream: 'x',
  bytes: Buffer.from('content'),
  missing: [],
  losses: [],
  close: undefined,
  whole: true,
  twice: [],
  seqs: [0],
}
const written = { path: 'a.log', bytes: 'content' }
const lost = { from: 0, to: 3, reason: 'truncated' }

test.each([
  ['nothing', [written], [stored], 0],
  ['another byte', [{ ...written, bytes: 'contenT' }], [stored], 1],
  ['a generation that is not there', [written, { path: 'b.log', bytes: 'x' }], [stored], 1],
  ['a stream too many', [written], [stored, { ...stored, stream: 'y' }], 1],
  ['a range that is missing', [written], [{ ...stored, missing: ['0-3'] }], 1],
  ['a range that came twice', [written], [{ ...stored, twice: ['0-3'] }], 1],
  ['a loss that is not allowed', [written], [{ ...stored, losses: [lost] }], 1],
  [
    'a loss of another range',
    [{ ...written, losses: [{ ...lost, to: 2 }] }],
    [{ ...stored, losses: [lost] }],
    2,
  ],
  ['a close that has to be there', [{ ...written, isClosed: true }], [stored], 1],
  [
    'a close with another hash',
    [written],
    [{ ...stored, whole: false, close: { length: 7, sha256: '' } }],
    1,
  ],
] as const)('the ledger sees %s', (_, expected, streams, count) => {
  expect(differences(expected, streams)).toHaveLength(count)
})
