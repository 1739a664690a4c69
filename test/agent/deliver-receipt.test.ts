import nock from 'nock'
import { describe, expect, test } from 'vitest'
import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import { limits } from '../../protocol/contract.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { signReceipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { scanRecord } from '../../protocol/record.ts'
import { digestOf } from '../../protocol/verify.ts'
import {
  address,
  asDevice,
  playEmptyServer,
  post,
  Post,
  problem,
  receiptFor,
  receiptType,
  server,
} from '../kit/delivery-post.ts'
import { nextBatch } from '../kit/queue-kit.ts'

playEmptyServer()

/** nock gives what is no text as hexadecimal digits. */
const bytesOf = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : '', 'hex')

/** As a server makes it: for whatever came. */
function receiptForBatch(batch: Uint8Array): Buffer {
  const entries: ReceiptEntry[] = []
  for (let scan = scanRecord(batch); scan.is === 'whole'; scan = scanRecord(batch, scan.end)) {
    const manifest = decodeManifest(scan.frame.envelope.payload)
    if (!manifest.ok) throw new Error('the agent sent what is no record')
    const { epoch, seq } = manifest.value
    entries.push({ place: { epoch, seq }, digest: digestOf(scan.frame), outcome: 'stored' })
  }
  return Buffer.from(signReceipt({ device: asDevice('hexa-7'), timeMs: 1, entries }, server))
}

describe('a receipt', () => {
  test.each(['stored', 'duplicate'] as const)('that says %s lets the record go', async (outcome) => {
    await using delivery = await Post.prepare()
    post().reply(200, receiptFor(delivery.entries, { outcome }), receiptType)
    delivery.start()
    await delivery.world.told.told('forgotten')
    expect(delivery.queue.ledger.records).toBe(0)
  })

  test('that says forked has what the records hold sealed anew, and delivered in a new chain', async () => {
    await using delivery = await Post.prepare()
    const { epoch } = delivery.queue.head
    post().reply(200, receiptFor(delivery.entries, { outcome: 'forked' }), receiptType)
    post()
      .times(9)
      .reply(200, (_, body) => receiptForBatch(bytesOf(body)), receiptType)
    delivery.start()
    const [why] = await delivery.world.told.told('deliveryFailed')
    expect(why).toMatch(/another record at .*: what it holds is sealed anew/)
    expect(delivery.world.told.named('recordForked')).toHaveLength(3)
    await delivery.world.clock.skip()
    await delivery.world.told.told('deliveryRecovered')
    const { told } = delivery.world
    while (delivery.queue.ledger.records > 0) await told.told('forgotten', told.named('forgotten').length + 1)
    expect(delivery.queue.ledger.receiptedBytes(delivery.kit.label.stream)).toBe('one\ntwo\nthree\n'.length)
    expect(delivery.queue.head).toMatchObject({ next: 3 })
    expect(delivery.queue.head.epoch).toBeGreaterThan(epoch)
  })

  test('for some of the records lets those go, and the others are sent again', async () => {
    await using delivery = await Post.prepare()
    const { entries } = delivery
    post().reply(200, receiptFor(entries.slice(1)), receiptType)
    post().reply(200, receiptFor(entries.slice(0, 1)), receiptType)
    delivery.start()
    expect(await delivery.world.told.told('forgotten', 1)).toEqual([2])
    expect(await delivery.world.told.told('forgotten', 2)).toEqual([1])
    expect(delivery.queue.ledger.records).toBe(0)
  })

  // LB-093
  test('that refuses a record is believed the third time in a row; then it is set aside, named and kept', async () => {
    await using delivery = await Post.prepare()
    for (const timeMs of [1, 2, 3]) post().reply(200, refusing(delivery.entries, 1, timeMs), receiptType)
    delivery.start()
    const [why] = await delivery.world.told.told('deliveryFailed')
    expect(why).toBe('refused by the server: BODY_HASH_WRONG')
    expect(delivery.queue.ledger.records).toBe(1)
    expect(delivery.queue.aside).toEqual([])
    await delivery.world.clock.skip()
    await delivery.world.told.told('recordSetAside')
    expect(delivery.world.told.named('requestSent').map(([records]) => records)).toEqual([3, 1, 1])
    expect(delivery.queue.aside.map(({ seq, why }) => [Number(seq), why])).toEqual([
      [1, 'refused by the server: BODY_HASH_WRONG'],
    ])
    expect(delivery.queue.ledger.records).toBe(1)
  })

  test('that refuses one record for a person to put right passes over the other that it refuses', async () => {
    await using delivery = await Post.prepare()
    const [first, second, third] = delivery.entries.map(({ epoch, seq, digest }, index) => {
      const refusal = ['KEY_REVOKED', 'BODY_HASH_WRONG', 'KEY_REVOKED'][index] ?? ''
      return { place: { epoch, seq }, digest, outcome: 'refused' as const, refusal }
    })
    const told = [first, second, third].filter((entry) => entry !== undefined)
    post().reply(200, signed(told, 1), receiptType)
    const again = post().reply(
      200,
      receiptFor(delivery.entries.filter((_, index) => index !== 1)),
      receiptType,
    )
    delivery.start()
    const [why] = await delivery.world.told.told('deliveryFailed')
    expect(why).toContain('KEY_REVOKED')
    await delivery.world.clock.skip()
    await delivery.world.told.told('forgotten')
    expect(again.isDone()).toBe(true)
    expect(delivery.world.told.named('requestSent').map(([records]) => records)).toEqual([3, 2])
  })

  test('that refuses a record once, as when it was damaged on the way, keeps it for the next attempt', async () => {
    await using delivery = await Post.prepare()
    post().reply(200, refusing(delivery.entries, 1), receiptType)
    await delivery.failed()
    await delivery.recovers()
    expect(delivery.queue.aside).toEqual([])
  })
})

function refusing(entries: readonly IndexEntry[], refused: number, timeMs = 1): Buffer {
  const told = entries.map(({ epoch, seq, digest }, index) => {
    const place = { epoch, seq }
    if (index !== refused) return { place, digest, outcome: 'stored' as const }
    return { place, digest, outcome: 'refused' as const, refusal: 'BODY_HASH_WRONG' as const }
  })
  return signed(told, timeMs)
}

const signed = (entries: readonly ReceiptEntry[], timeMs: number): Buffer =>
  Buffer.from(signReceipt({ device: asDevice('hexa-7'), timeMs, entries }, server))

describe('a batch that is too large', () => {
  test('for the server (413) is sent again in smaller ones', async () => {
    await using delivery = await Post.prepare(Array.from({ length: 16 }, (_, index) => `line ${index}\n`))
    const sizes: number[] = []
    nock(address)
      .post('/v1/chunks')
      .times(100)
      .reply((_uri, body) => {
        const batch = bytesOf(body)
        sizes.push(batch.length)
        if (batch.length > 1000) return problem(413, 'BATCH_TOO_LARGE')
        return [200, receiptFor(delivery.entries), receiptType]
      })
    delivery.start()
    while (delivery.queue.ledger.records > 0) {
      await Promise.race([
        delivery.world.clock.skip(),
        delivery.world.told.told('forgotten', delivery.world.told.named('forgotten').length + 1),
      ])
    }
    expect(sizes[0]).toBeGreaterThan(1000)
    expect(sizes.at(-1)).toBeLessThanOrEqual(1000)
  })

  test('cannot be: what is over the limit of records is left for the next', async () => {
    await using delivery = await Post.prepare()
    expect((await nextBatch(delivery.queue, 1 << 20, 2))?.entries).toHaveLength(2)
    expect(limits.maxBatchRecords).toBe(4096)
  })
})

test('when nothing waits, nothing is sent and status says so', async () => {
  await using delivery = await Post.prepare([])
  delivery.start()
  expect(delivery.delivery.report).toEqual({ is: 'idle' })
  post().reply(200, (_uri, body) => receiptForBatch(bytesOf(body)), receiptType)
  await delivery.kit.append(delivery.queue, 'now\n')
  await delivery.world.told.told('forgotten')
})

test('a request under way is given up when delivery stops, and its records stay', async () => {
  await using delivery = await Post.prepare()
  post().delay(60_000).reply(200, receiptFor(delivery.entries), receiptType)
  delivery.start()
  await delivery.world.told.told('requestSent')
  expect(delivery.delivery.report).toMatchObject({ is: 'sending', records: 3 })
  await delivery[Symbol.asyncDispose]()
  expect(delivery.world.told.named('forgotten')).toEqual([])
})
