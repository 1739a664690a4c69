import { setImmediate as aTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Delivery } from '../../agent/deliver/deliver.ts'
import type { Link } from '../../agent/deliver/link.ts'
import { parseDeviceId } from '../../protocol/ids.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { PlayedServer } from '../kit/nock-server.ts'
import { QueueKit } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const hourMs = 3_600_000
const maxBytes = 256 * 1024
const device = parseDeviceId('hexa-7')

/** Nothing gets anywhere until it is up; then a good server answers. */
class Air implements Link {
  isUp = false
  attempts = 0
  readonly #server: PlayedServer

  constructor(server: PlayedServer) {
    this.#server = server
  }

  async send({ method, path, body }: Parameters<Link['send']>[0]): ReturnType<Link['send']> {
    this.attempts++
    const why = 'connect ENETUNREACH 198.51.100.7:443'
    if (!this.isUp) return { is: 'cut', code: 'ENETUNREACH', why, sentBytes: 0 }
    // What leaves is a copy: the queue may use its buffers again.
    const {
      status,
      headers,
      body: said,
    } = this.#server.serve({ method, path, body: Buffer.from(body ?? []) })
    const mediaType = headers['content-type'] ?? ''
    return { is: 'answered', status, mediaType, body: said as Uint8Array, retryAfterMs: undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

test('four days without a link: the queue stays within its bound, and then everything is delivered once', async () => {
  await using kit = await QueueKit.start()
  const world = fakeWorld(4)
  await using queue = await kit.open(world, maxBytes)
  if (device === undefined) throw new Error('hexa-7 is a device')
  using server = new PlayedServer('http://logs.test', device, kit.signer.publicKey)
  const air = new Air(server)
  const retry = { minMs: 500, maxMs: 15 * 60_000 }
  const options = { requestMaxBytes: 1 << 20, retry, pinned: [server.signer.publicKey], signer: kit.signer }
  const stopping = new AbortController()
  const running = new Delivery(queue, air, world, options).run(stopping.signal)

  const chance = new Seeded(4)
  const written: Buffer[] = []
  const taken = new Set<Buffer>()
  const startMs = world.clock.monotonicMs()
  let writing: Promise<unknown> = Promise.resolve()
  let largest = 0
  for (let nowMs = startMs; nowMs < startMs + 96 * hourMs; nowMs = world.clock.monotonicMs()) {
    if (written.length <= (nowMs - startMs) / hourMs) {
      const piece = Buffer.from(chance.bytes(16 * 1024))
      written.push(piece)
      // Where the queue is full this waits, as bytes do in their file.
      writing = writing.then(() => kit.append(queue, piece)).then(() => taken.add(piece))
      // Time does not run ahead of the disk.
      while (!taken.has(piece) && queue.state.is !== 'full') await aTurn()
    }
    await world.clock.skip()
    await aTurn()
    largest = Math.max(largest, queue.ledger.bytes)
  }
  expect(written).toHaveLength(96)
  expect(largest).toBeGreaterThan(maxBytes / 2)
  expect(largest).toBeLessThanOrEqual(maxBytes)
  expect(await kit.segmentBytes()).toBeLessThanOrEqual(maxBytes)
  expect(server.stored.size).toBe(0)
  expect(air.attempts).toBeLessThan(4000)

  air.isUp = true
  let forgotten = 0
  for (let count = 1; forgotten < written.length; count++) {
    const told = world.told.told('forgotten', count)
    // A pause may be under way, or an attempt.
    while (world.told.named('forgotten').length < count) {
      await Promise.race([told, world.clock.skip()])
      await aTurn()
    }
    forgotten += Number((await told)[0])
  }
  await writing
  expect(server.stored.size).toBe(written.length)
  expect(server.contentOf('/var/log/flight/autopilot.log')).toBe(Buffer.concat(written).toString())
  stopping.abort()
  await running
})
