import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { Sortie } from '../kit/sortie.ts'

/** Nobody looks for files, but for a flush, unless something is told of. */
const rarely = { haste: 1, settings: { rescanInterval: '1h' } }

/** An agent that watches `*.log`, and has read app.log as far as its writer wrote. */
async function written(sortie: Sortie): Promise<FileHandle> {
  await sortie.agent.start({ sources: [{ paths: [join(sortie.logs, '*.log')], closeAfter: '1h' }] })
  const writer = await open(sortie.path('app.log'), 'a')
  await writer.write('one\n')
  await sortie.land()
  return writer
}

/** It leaves every glob, another one comes in its place, and it is read to the end that it had then. */
async function leave(sortie: Sortie, how: string): Promise<void> {
  if (how === 'renamed') await sortie.rename('app.log', 'app.log.1')
  else await sortie.remove('app.log')
  await sortie.append('app.log', 'new\n')
  await sortie.agent.statusUntil(({ files }) => files.some(({ state }) => state === 'draining'))
  await sortie.land()
}

const whole = ['one\ntwo\n', 'new\n'].map((bytes) => ({ path: 'app.log', bytes }))

describe.each(['renamed', 'deleted'])(
  'a file that is %s while its writer goes on, and has no glob',
  (how) => {
    // LB-012
    test('is read to its end by a flush', async () => {
      await using sortie = await Sortie.start(rarely)
      await using writer = await written(sortie)
      await leave(sortie, how)
      await writer.write('two\n')
      await sortie.land()
      await sortie.agent.kill()
      await sortie.expectGenerations(whole)
    })

    // LB-012
    test('is read on soon, although nobody looks and nothing is told', async () => {
      await using sortie = await Sortie.start(rarely)
      await using writer = await written(sortie)
      await leave(sortie, how)
      await writer.write('two\n')
      await sortie.streamsUntil((now) => now.some(({ bytes }) => bytes.length === 8))
      await sortie.expectGenerations(whole)
    })

    // LB-012
    test('is read to its end when the agent is stopped', async () => {
      await using sortie = await Sortie.start(rarely)
      await using writer = await written(sortie)
      await leave(sortie, how)
      await writer.write('two\n')
      await sortie.agent.stop()
      await sortie.expectGenerations(whole)
    })
  },
)
