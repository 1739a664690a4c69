import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../agent/queue/crc32c.ts'
import { damageOfTable } from '../../agent/queue/leveldb-table.ts'
import { unsnappy } from '../../agent/queue/snappy.ts'
import { realWorld } from '../../agent/world.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { QueueKit } from '../kit/queue-kit.ts'
import { filledTwice, indexFolder, texts } from '../kit/ten-records.ts'

test.each([
  ['nine digits', Buffer.from('123456789'), 0xe3069283],
  // RFC 3720, B.4
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
])('CRC-32C of %s', (_, bytes, crc) => {
  expect(crc32c(bytes)).toBe(crc)
})

describe('Snappy', () => {
  test.each([
    ['a literal', '0308616263', 'abc'],
    ['a literal with a length of its own', `40f03f${'61'.repeat(64)}`, 'a'.repeat(64)],
    ['a piece from before', '0a0461621102', 'ab'.repeat(5)],
    ['the same with two bytes of distance', '0a0461621e0200', 'ab'.repeat(5)],
    ['the same with four', '0a0461621f02000000', 'ab'.repeat(5)],
  ])('gives back %s', (_, hex, text) => {
    expect(Buffer.from(unsnappy(Buffer.from(hex, 'hex'), 100)).toString()).toBe(text)
  })

  test.each([
    ['that points before its beginning', '0a0461621104'],
    ['that ends in the middle of a literal', '03086162'],
    ['that is longer than it says', '0208616263'],
    ['that is shorter than it says', '0408616263'],
    ['of more bytes than are wanted', 'e80761'],
    ['of nothing', ''],
  ])('refuses what is no such thing: one %s', (_, hex) => {
    expect(() => unsnappy(Buffer.from(hex, 'hex'), 100)).toThrow(RangeError)
  })
})

const keyOf = (number: number): string =>
  `a long prefix that all of them share ${String(number).padStart(9, '0')}`

/** The largest table that LevelDB made of so many entries. */
async function tableOf(count: number): Promise<Buffer> {
  await using kit = await QueueKit.start()
  const folder = await kit.folder('leveldb')
  const world = realWorld()
  {
    await using index = await world.openIndex(folder)
    for (let number = 0; number < count; number++) await index.put(keyOf(number), `value ${number}`)
  }
  // What is in its log becomes a table when it is opened again.
  await (await world.openIndex(folder)).close()
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ldb'))
  const tables = await Promise.all(names.map((name) => readFile(join(folder, name))))
  return tables.toSorted((a, b) => b.length - a.length)[0] ?? Buffer.alloc(0)
}

const footerBytes = 48

describe('a table of LevelDB', () => {
  test.each([
    ['of one block', 3],
    ['of many blocks', 3000],
  ])('%s: any flipped bit in any of its blocks is found', async (_, count) => {
    const whole = await tableOf(count)
    expect(damageOfTable(whole)).toBeUndefined()
    const step = Math.max(1, Math.floor(whole.length / 500))
    for (let at = 0; at < whole.length - footerBytes; at += step) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      expect(damageOfTable(damaged), `byte ${at}`).toBeDefined()
    }
  })

  test('whose directory was compressed is looked through as well', async () => {
    const whole = await tableOf(3000)
    // Behind the directory, which is the last block, and its kind of compression stand its checksum and the footer.
    expect(whole[whole.length - footerBytes - 5]).toBe(1)
  })

  test('that was never finished is left to LevelDB', async () => {
    const whole = await tableOf(3)
    for (let length = 0; length < whole.length; length++)
      expect(damageOfTable(whole.subarray(0, length))).toBeUndefined()
  })

  test('whatever its footer says, nothing is thrown', async () => {
    const whole = await tableOf(3)
    for (let at = whole.length - footerBytes; at < whole.length; at++) {
      for (const byte of [0, 0x7f, 0x80, 0xff]) {
        const damaged = Buffer.from(whole)
        damaged[at] = byte
        expect(() => damageOfTable(damaged)).not.toThrow()
      }
    }
  })
})

/** A table whose first block is not what was written, under this number. */
async function damageTable(kit: QueueKit, number?: string): Promise<string> {
  const name = (await readdir(indexFolder(kit))).find((file) => file.endsWith('.ldb')) ?? ''
  const bytes = await readFile(join(indexFolder(kit), name))
  bytes[1] = (bytes[1] ?? 0) ^ 0x40
  const path = join(indexFolder(kit), number === undefined ? name : `${number}.ldb`)
  await writeFile(path, bytes)
  return path
}

describe('a damaged table of the queue', () => {
  test('is found before LevelDB reads it, and LevelDB moved aside with it', async () => {
    await using kit = await QueueKit.start()
    await filledTwice(kit)
    const table = await damageTable(kit)
    const world = fakeWorld(2)
    await using queue = await kit.open(world)
    const why = expect.stringMatching(/^\d+\.ldb: the block at 0 is not the one that was written$/) as string
    expect(world.told.named('indexMovedAside')).toEqual([[`${indexFolder(kit)}.damaged-1`, why]])
    expect(await readdir(`${indexFolder(kit)}.damaged-1`)).toContain(`${basename(table)}.damaged`)
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('that LevelDB does not use, as a power cut leaves one, is removed, and nothing moved aside', async () => {
    await using kit = await QueueKit.start()
    const epoch = await filledTwice(kit)
    await damageTable(kit, '000999')
    const world = fakeWorld(2)
    await using queue = await kit.open(world)
    expect(world.told.named('indexMovedAside')).toEqual([])
    expect(queue.head.epoch).toBe(epoch)
    expect((await readdir(indexFolder(kit))).filter((name) => name.includes('999'))).toEqual([])
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('stays where it is while another agent has the queue', async () => {
    await using kit = await QueueKit.start()
    await filledTwice(kit)
    await using queue = await kit.open(fakeWorld(2))
    const table = await damageTable(kit, '000999')
    await expect(kit.open(fakeWorld(3))).rejects.toMatchObject({ code: 'STATE_HELD' })
    expect(await readdir(indexFolder(kit))).toContain(basename(table))
    expect(await kit.drain(queue)).toEqual(texts)
  })
})
