import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ownKeys } from '../../agent/queue/own-keys.ts'
import { RecordReader } from '../../agent/queue/record-reader.ts'
import type { Batch } from '../../agent/queue/batch.ts'
import { equalBytes } from '../../protocol/ids.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { nextBatch, QueueKit, withheld } from '../kit/queue-kit.ts'

const texts = ['one\n', 'two\n', 'three', 'four\n', 'five\n']

/** A state folder with these in its queue, which is closed again. */
async function filled(kit: QueueKit, contents: readonly string[]): Promise<Batch> {
  await using queue = await kit.open()
  for (const text of contents) await kit.append(queue, text)
  const batch = await nextBatch(queue, 1 << 20, 100)
  if (!batch) throw new Error('they wait')
  return { ...batch, bytes: Uint8Array.from(batch.bytes) }
}

async function damage(path: string, change: (bytes: Buffer) => void): Promise<void> {
  const bytes = await readFile(path)
  change(bytes)
  await writeFile(path, bytes)
}

describe('one flipped bit in a segment', () => {
  test('any of all its bits is found: the record goes without its body, or is made again as it was', async () => {
    await using kit = await QueueKit.start()
    const { entries, bytes: whole } = await filled(kit, ['one\n'])
    const [entry] = entries
    if (!entry) throw new Error('one waits')
    let damaged = Uint8Array.from(whole)
    const disk = {
      read: async (_: unknown, into: Uint8Array): Promise<boolean> => {
        into.set(damaged)
        return true
      },
    }
    const own = ownKeys('hexa-7' as never, kit.signer)
    const reader = new RecordReader(
      disk,
      own,
      async () => undefined,
      () => false,
    )
    const maker = new RecordReader(
      disk,
      own,
      async () => Buffer.from('one\n'),
      () => false,
    )
    const into = Buffer.alloc(whole.length)
    expect((await reader.read(entry, into)).is).toBe('whole')
    for (let bit = 0; bit < whole.length * 8; bit++) {
      damaged = Uint8Array.from(whole)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect((await reader.read(entry, into)).is, `bit ${bit}`).toBe('withheld')
      if (bit % 8 > 0) continue
      const made = await maker.read(entry, into)
      expect(made.is === 'whole' && equalBytes(made.bytes, whole), `bit ${bit}`).toBe(true)
    }
  })

  test('its record waits until its file was looked for, and those behind it do not', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    await damage(segment, (bytes) => bytes.set([(bytes.at(-3) ?? 0) ^ 1], bytes.length - 3))
    const moved = join(kit.state, 'moved.log')
    await writeFile(moved, texts.join(''))
    await using queue = await kit.openWith({ isLookComing: true })
    await kit.append(queue, 'six\n')
    expect(await kit.drain(queue)).toEqual([...texts.slice(0, 4), 'six\n'])
    expect(queue.ledger.records).toBe(1)
    const { rings } = queue.changed
    await queue.looked(() => Buffer.from(moved))
    expect(queue.changed.rings).toBeGreaterThan(rings)
    expect(await kit.drain(queue)).toEqual(['five\n'])
  })

  test('its record waits on where the disk refuses at the end of the look, until the next one', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    await damage(segment, (bytes) => bytes.set([(bytes.at(-3) ?? 0) ^ 1], bytes.length - 3))
    const world = fakeWorld(2)
    await using queue = await kit.openWith({ isLookComing: true }, world)
    const batch = await nextBatch(queue, 1 << 20, 100)
    for (const step of ['indexWrite', 'openIndex'] as const) world.disk.failing.set(step, 'EIO')
    await expect(queue.forget(batch?.entries ?? [])).rejects.toThrow('EIO')
    await queue.looked(() => undefined)
    world.disk.failing.clear()
    if (batch) queue.giveBack(batch)
    expect(await kit.drain(queue)).toEqual(texts.slice(0, 4))
    await queue.looked(() => undefined)
    expect(await kit.drain(queue)).toEqual([withheld])
  })

  test('its record goes without its body where the look has not found the file', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    await damage(segment, (bytes) => bytes.set([(bytes.at(-3) ?? 0) ^ 1], bytes.length - 3))
    await using queue = await kit.openWith({ isLookComing: true })
    expect(await kit.drain(queue)).toEqual(texts.slice(0, 4))
    await queue.looked(() => undefined)
    expect(await kit.drain(queue)).toEqual([withheld])
  })

  test('a batch that is given back while another is made is handed out again', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    await damage(segment, (bytes) => bytes.set([(bytes.at(-3) ?? 0) ^ 1], bytes.length - 3))
    let giveBack: (() => void) | undefined
    const fromNowhere = async (): Promise<undefined> => {
      giveBack?.()
      return undefined
    }
    await using queue = await kit.openWith({ findBytes: fromNowhere })
    const first = await queue.take(1 << 20, 4)
    giveBack = () => first && queue.giveBack(first)
    await queue.forget((await queue.take(1 << 20, 4))?.entries ?? [])
    expect(await kit.drain(queue)).toEqual(texts.slice(0, 4))
    expect(queue.ledger.records).toBe(0)
  })

  test('costs the body of that record and nothing else, and its bytes count as lost', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    await damage(segment, (bytes) => bytes.set([(bytes.at(-3) ?? 0) ^ 1], bytes.length - 3))
    {
      await using queue = await kit.open()
      expect(await kit.drain(queue)).toEqual([...texts.slice(0, 4), withheld])
      expect(queue.ledger.lostBytes(kit.label.stream)).toBe(5)
      expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(18)
      expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(0)
    }
    await using queue = await kit.open()
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(5)
    expect(queue.ledger.records).toBe(0)
  })

  test('in the one place is no reason to lose the index of the others, when LevelDB is gone too', async () => {
    await using kit = await QueueKit.start()
    await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    await rm(join(kit.state, 'queue'), { recursive: true })
    for (let at = 0; at < whole.length; at += 7) {
      const copy = await kit.folder('flipped')
      await rm(copy, { recursive: true })
      await cp(kit.state, copy, { recursive: true })
      await damage(join(copy, 'segments', '00000001.logb'), (bytes) =>
        bytes.set([(bytes[at] ?? 0) ^ 0x10], at),
      )
      await using queue = await kit.open(fakeWorld(2), 1 << 30, copy)
      const found = await kit.drain(queue)
      expect(found).toHaveLength(4)
      expect(texts.filter((text) => found.includes(text))).toEqual(found)
    }
  })
})

describe('a segment that is cut short, or gone', () => {
  test.each([
    ['cut short', (path: string) => truncate(path, 10)],
    ['gone', (path: string) => rm(path)],
  ])(
    '%s: what it held goes as envelopes, which name all of it, and new records are delivered',
    async (_, hurt) => {
      await using kit = await QueueKit.start()
      const { entries } = await filled(kit, texts)
      const [segment = ''] = await kit.segments()
      await hurt(segment)
      await using queue = await kit.open(fakeWorld(2))
      await kit.append(queue, 'new\n')
      const batch = await nextBatch(queue, 1 << 20, 5)
      expect(batch?.entries.map(({ digest, isWithheld }) => [digest, isWithheld])).toEqual(
        entries.map(({ digest }) => [digest, true]),
      )
      expect(await kit.drain(queue)).toEqual([...texts.map(() => withheld), 'new\n'])
      expect(queue.ledger.lostBytes(kit.label.stream)).toBe(texts.join('').length)
      expect(queue.aside).toEqual([])
    },
  )

  test.each([
    ['cut short', (path: string) => truncate(path, 10)],
    ['gone', (path: string) => rm(path)],
  ])('%s: what it held is made again from its file, byte for byte', async (_, hurt) => {
    await using kit = await QueueKit.start()
    const before = await filled(kit, texts)
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    await hurt(segment)
    const file = Buffer.from(texts.join(''))
    const options = {
      findBytes: async ({ offset, length }: { offset: number; length: number }) =>
        file.subarray(offset, offset + length),
    }
    await using queue = await kit.openWith(options, fakeWorld(2))
    const batch = await nextBatch(queue, 1 << 20, 100)
    expect(batch?.entries).toEqual(before.entries)
    expect(Buffer.from(batch?.bytes ?? []).equals(whole)).toBe(true)
    expect(await kit.drain(queue)).toEqual(texts)
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(0)
  })
})
