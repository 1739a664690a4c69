import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Cut } from '../../agent/capture/chunker.ts'
import { Shipping, type Shipped } from '../../agent/capture/shipping.ts'
import { letGo } from '../../agent/let-go.ts'
import type { Arrival } from '../../agent/queue/arrival.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { changedFile } from '../kit/changed-file.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, QueueKit } from '../kit/queue-kit.ts'

const label = labelOf('/log/flight')
const isGone = (bytes: Uint8Array): boolean => (bytes.buffer as ArrayBuffer).detached

test('memory that bytes have for themselves is given back, and what others share is not', () => {
  const [own, shared] = [new Uint8Array(100), new Uint8Array(100)]
  letGo(own)
  letGo(shared.subarray(0, 99))
  expect([isGone(own), isGone(shared)]).toEqual([true, false])
})

test('the memory of a record is given back once the record is in the queue', async () => {
  await using kit = await QueueKit.start()
  const written: Uint8Array[] = []
  const { files, ...world } = fakeWorld()
  const create: typeof files.create = async (path) => {
    const file = await files.create(path)
    return changedFile(file, {
      write: (pieces, position) => {
        written.push(...pieces)
        return file.write(pieces, position)
      },
    })
  }
  await using queue = await kit.open({ ...world, files: { ...files, create } })
  await kit.append(queue, randomBytes(100_000))
  expect(written.map(isGone)).toContain(true)
})

/** What the queue got of these bytes, once it has taken it, and the bytes themselves. */
async function shipped(bytes: Uint8Array): Promise<{ readonly body: Uint8Array; readonly cut: Cut }> {
  const bodies: Uint8Array[] = []
  const append = async (arrival: Arrival): Promise<boolean> => {
    if (arrival.kind === 'data') bodies.push(arrival.body.body)
    return true
  }
  const resume = { stream: label.stream, path: label.path, evidence: [] } as unknown as Shipped['resume']
  const source = { priority: 'normal' } as const
  const generation: Shipped = {
    label,
    source,
    stored: undefined,
    looseRanges: 0,
    resume,
    pointAt: () => resume,
  }
  const shipping = new Shipping(generation, { append } as unknown as Queue, never)
  const cut = { offset: 0 as Cut['offset'], bytes, release: () => undefined }
  await shipping.ship(cut)
  await shipping.done()
  const [body = bytes] = bodies
  return { body, cut }
}

test('the memory of a compressed chunk is given back once the queue has it', async () => {
  const { body } = await shipped(Buffer.from(randomBytes(500_000).toString('hex')))
  expect(isGone(body)).toBe(true)
})

test('a chunk that does not get smaller keeps its buffer', async () => {
  const { cut } = await shipped(new Uint8Array(randomBytes(500_000)))
  expect(isGone(cut.bytes)).toBe(false)
})
