import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { endStream } from '../../agent/capture/ending.ts'
import { mendHoles } from '../../agent/queue/mend-holes.ts'
import { evidenceAfter } from '../../agent/queue/evidence.ts'
import { keys } from '../../agent/queue/index-entry.ts'
import { ownKeys } from '../../agent/queue/own-keys.ts'
import { ownRecords } from '../../agent/queue/own-records.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import type { Evidence } from '../../agent/queue/resume-point.ts'
import { realWorld } from '../../agent/world.ts'
import { encodeBody } from '../../protocol/body.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const texts = ['first\n', 'second\n', 'third, '.repeat(30), 'fourth\n', 'fifth\n']
const all = texts.join('')
const startOf = (record: number): number => texts.slice(0, record).join('').length

/** A queue with five records of one file in one segment, its index as it is then, and as it was after three. */
class FiveRecords implements AsyncDisposable {
  readonly kit: QueueKit
  readonly label: StreamLabel
  /** Where each begins in the segment, and where the last ends. */
  readonly bounds: number[] = []
  segment = Buffer.alloc(0)
  readonly path: string

  static async start(): Promise<FiveRecords> {
    const five = new FiveRecords(await QueueKit.start())
    await five.#fill()
    return five
  }

  private constructor(kit: QueueKit) {
    this.kit = kit
    this.path = join(kit.state, '..', 'flight.log')
    this.label = labelOf(this.path)
  }

  async #fill(): Promise<void> {
    const { label, kit } = this
    await writeFile(this.path, all)
    await using queue = await kit.open()
    const identity = { device: '0', inode: '0', birthNs: '0' }
    const common = { stream: label.stream, path: label.path, identity, seenBytes: all.length }
    let evidence: readonly Evidence[] = []
    await queue.setResumePoint({ ...common, position: 0 as ByteOffset, evidence })
    for (const [number, text] of texts.entries()) {
      if (number === 3) await cp(join(kit.state, 'queue'), this.#early, { recursive: true })
      const [offset, bytes] = [startOf(number) as ByteOffset, Buffer.from(text)]
      evidence = evidenceAfter(evidence, offset, bytes)
      const resume = { ...common, position: (offset + text.length) as ByteOffset, evidence }
      const body = await encodeBody(bytes)
      await queue.append({ kind: 'data', lane: 'normal', label, offset, body, resume }, never)
    }
    const { entries = [] } = (await nextBatch(queue, 1 << 20, 9)) ?? {}
    this.bounds.push(...entries.map(({ extent }) => extent?.offset ?? 0))
    this.segment = await readFile(join(kit.segmentFolder, '00000001.logb'))
    this.bounds.push(this.segment.length)
  }

  get #early(): string {
    return join(this.kit.state, '..', 'early')
  }

  flipped(bit: number): Buffer {
    const bytes = Buffer.from(this.segment)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return bytes
  }

  recordAt(byte: number): number {
    return this.bounds.findLastIndex((start) => start <= byte)
  }

  /** A copy of the state folder whose segment has this bit flipped. */
  async damaged(bit: number, index: IndexState): Promise<string> {
    const copy = join(this.kit.state, '..', 'copy')
    await rm(copy, { recursive: true, force: true })
    await cp(this.kit.state, copy, { recursive: true })
    await writeFile(join(copy, 'segments', '00000001.logb'), this.flipped(bit))
    const queue = join(copy, 'queue')
    if (index === 'gone' || index === 'of before the last two') await rm(queue, { recursive: true })
    if (index === 'of before the last two') await cp(this.#early, queue, { recursive: true })
    if (index === 'without the third record') await loseThird(queue)
    return copy
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kit[Symbol.asyncDispose]()
  }
}

type IndexState = 'whole' | 'of before the last two' | 'without the third record' | 'gone'

async function loseThird(path: string): Promise<void> {
  const index = await realWorld().openIndex(path)
  for (const key of await index.keys().all()) {
    const isThird = key.startsWith('record/') && key.endsWith(`/${String(2).padStart(16, '0')}`)
    if (isThird || (key.startsWith(keys.shipped) && key.endsWith(String(startOf(2)).padStart(16, '0'))))
      await index.del(key)
  }
  await index.close()
}

/** What the rest of the agent does with such a queue, where the file is still there and where it is not. */
async function goOn(five: FiveRecords, queue: Queue, isThere: boolean): Promise<void> {
  const world = fakeWorld()
  await mendHoles(queue, world.files, () => undefined, never)
  const point = queue.resumePoints.get(five.label.stream)
  if (!point) throw new Error('nothing is known of the stream any more')
  const { label } = five
  if (!isThere) {
    await endStream({ label, lane: 'normal', point, why: 'deleted' }, queue, world.journal, never)
    return
  }
  const rest = Buffer.from(all.slice(point.position))
  const held = { kind: 'data', offset: point.position, body: await encodeBody(rest) } as const
  if (rest.length > 0) await queue.append({ ...held, label, lane: 'normal', resume: 'stays' }, never)
}

/** Of each byte of the file how often it is at the server, as it was, and how often it is named as lost. */
interface Told {
  readonly stored: Uint8Array
  readonly named: Uint8Array
}

async function delivered(five: FiveRecords, queue: Queue): Promise<Told> {
  const told = { stored: new Uint8Array(all.length), named: new Uint8Array(all.length) }
  for (let batch = await nextBatch(queue, 1 << 20, 9); batch; batch = await nextBatch(queue, 1 << 20, 9)) {
    for (const { manifest, content } of await five.kit.verified(batch)) {
      if (manifest.kind === 'close') continue
      const { offset, length } = manifest
      const end = offset + (length ?? 0)
      const isAsItWas = content && Buffer.from(content).toString() === all.slice(offset, end)
      const counts = isAsItWas ? told.stored : told.named
      for (let at: number = offset; at < end; at++) counts[at] = (counts[at] ?? 0) + 1
    }
    await queue.forget(batch.entries)
  }
  return told
}

/** What is not as it must be where this record was damaged. */
function wrongsOf({ stored, named }: Told, hurt: number, index: IndexState, isThere: boolean): string[] {
  return texts.flatMap((text, record) => {
    const [from, to] = [startOf(record), startOf(record) + text.length]
    const isStored = record !== hurt || isThere
    // Behind the last that is left nobody knows of it.
    const isNamed = !isStored && (index !== 'gone' || record < 4)
    // Where the index is gone, too, the file is read on from the damaged one.
    const atMost = index === 'gone' ? 2 : 1
    const wasStored = stored.subarray(from, to)
    const isRight =
      wasStored.every((count) => (isStored ? count > 0 && count <= atMost : count === 0)) &&
      named.subarray(from, to).every((count) => count === (isNamed ? 1 : 0))
    const counts = [[...new Set(wasStored)].join(), [...new Set(named.subarray(from, to))].join()]
    return isRight ? [] : [`record ${record}: stored ${counts[0]} times, named ${counts[1]} times`]
  })
}

describe('any one bit of a segment that is flipped', () => {
  test.each([
    ['nothing', -1],
    ['its first record', 0],
    ['all', 4],
  ])(
    'hides no other record of it, where the index knows %s of it',
    async (_, knownTo) => {
      await using five = await FiveRecords.start()
      const own = { ring: ownKeys('hexa-7' as never, five.kit.signer), signer: five.kit.signer }
      // Where each signature is looked at, one bit of each byte.
      const step = knownTo === 4 ? 1 : 9
      for (let bit = 0; bit < five.segment.length * 8; bit += step) {
        const hurt = five.recordAt(bit >> 3)
        const segment = { bytes: five.flipped(bit), segment: 1, lane: 'normal' } as const
        const found = [...ownRecords(segment, own, ({ seq }) => seq <= knownTo)]
        const places = found.flatMap((one) => ('record' in one ? one.entry.seq : []))
        const others = [0, 1, 2, 3, 4].filter((record) => record > knownTo && record !== hurt)
        expect(places, `bit ${bit}`).toEqual(others)
        // At the end it may be what a power cut left.
        expect(found.length, `bit ${bit}`).toBeGreaterThanOrEqual(hurt === 4 ? 4 : 5)
      }
    },
    60_000,
  )

  for (const index of ['whole', 'of before the last two', 'without the third record', 'gone'] as const) {
    test.each([true, false])(
      `loses no byte unnoticed, where the index is ${index} and the file there: %s`,
      async (isThere) => {
        await using five = await FiveRecords.start()
        if (!isThere) await rm(five.path)
        for (const byte of sampled(five, index.length)) {
          const bit = byte * 8 + (byte % 8)
          const copy = await five.damaged(bit, index)
          await using queue = await five.kit.open(fakeWorld(2), 1 << 30, copy)
          await goOn(five, queue, isThere)
          const hurt = five.recordAt(byte)
          const wrongs = wrongsOf(await delivered(five, queue), hurt, index, isThere)
          expect({ byte, hurt, wrongs }).toEqual({ byte, hurt, wrongs: [] })
        }
      },
      60_000,
    )
  }
})

/** Bytes of the heads of some records, which say that one begins and how long it is, and others by chance. */
function sampled({ segment, bounds }: FiveRecords, seed: number): number[] {
  const random = new Seeded(seed)
  const heads = [0, 2, 4].flatMap((record) => [0, 5, 9].map((byte) => (bounds[record] ?? 0) + byte))
  return [...heads, ...Array.from({ length: 9 }, () => random.below(segment.length))]
}
