import { appendFile, open, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, queued, resting, type Life, type Watch } from '../kit/capture-ground.ts'

/** Writes into the file where something stands already. */
async function overwrite(path: string, offset: number, text: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(Buffer.from(text), 0, text.length, offset)
}

const content = 'x'.repeat(14_000)
const patched = `${'x'.repeat(5000)}PATCHED${'x'.repeat(8993)}`
/** Too short for a file to stand still for long enough. */
const hurried: Life = { source: { closeAfterMs: 3_600_000 } }

async function closed({ told }: Watch): Promise<void> {
  await told.told('fileClosed')
}

async function looked(watch: Watch): Promise<void> {
  for (let count = 0; count < 2; count++) await watch.capture.look()
  await resting(watch)
}

/** An agent has read all of the file, and has ended. */
async function shipped(ground: Ground): Promise<string> {
  const path = ground.path('a.log')
  await writeFile(path, content)
  await ground.watch((watch) => queued(watch, content.length))
  return path
}

describe('bytes in the middle of a text', () => {
  test('that changed while the agent was off are shipped again', async () => {
    await using ground = await Ground.start()
    await overwrite(await shipped(ground), 5000, 'PATCHED')
    await ground.watch(closed)
    expect(await ground.streams()).toMatchObject([{ text: patched, closes: [14_000] }])
  })

  test('that changed in its last life are shipped again, although the file grew on', async () => {
    await using ground = await Ground.start()
    const path = await shipped(ground)
    await ground.watch(async (watch) => {
      await looked(watch)
      await overwrite(path, 5000, 'PATCHED')
      await looked(watch)
    }, hurried)
    await appendFile(path, 'more')
    await ground.watch(closed)
    expect(await ground.streams()).toMatchObject([{ text: `${patched}more`, closes: [14_004] }])
  })
})

/** How many files another life would read once more. */
async function suspectOf(ground: Ground): Promise<number> {
  let count = 0
  await ground.watch(async (watch) => {
    await looked(watch)
    count = watch.capture.followed.filter(({ mayBeRewritten }) => mayBeRewritten).length
  })
  return count
}

describe('a text is not read once more after a restart', () => {
  test('where it stood still', async () => {
    await using ground = await Ground.start()
    await shipped(ground)
    expect(await suspectOf(ground)).toBe(0)
  })

  test('where it only grew', async () => {
    await using ground = await Ground.start()
    await appendFile(await shipped(ground), 'more')
    expect(await suspectOf(ground)).toBe(0)
  })

  test('where that was done in its last life', async () => {
    await using ground = await Ground.start()
    const path = await shipped(ground)
    await utimes(path, 1_600_000_000.5, 1_600_000_000.5)
    await ground.watch(closed)
    expect(await suspectOf(ground)).toBe(0)
  })

  test('where all that stood in it was passed over', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), content)
    await ground.watch(looked, { source: { startAt: 'end' } })
    expect(await suspectOf(ground)).toBe(0)
  })
})
