import { describe, expect, test } from 'vitest'
import { playEmptyServer, post, Post, receiptFor, receiptType, retry } from '../kit/delivery-post.ts'

playEmptyServer()

describe('between attempts', () => {
  test('the pause is drawn from twice as much each time, and never from more than the longest', async () => {
    await using delivery = await Post.prepare()
    post().times(12).reply(503, 'broken')
    const pauses: number[] = []
    delivery.start()
    for (let attempt = 1; attempt <= 12; attempt++) {
      const [why, attempts, ms] = await delivery.world.told.told('deliveryFailed', attempt)
      expect([why, attempts]).toEqual(['the server answered 503: the server is busy or not ready', attempt])
      expect(delivery.delivery.report).toMatchObject({ is: 'waiting', attempts: attempt, retryInMs: ms })
      expect(ms).toBeLessThanOrEqual(Math.min(retry.maxMs, retry.minMs * 2 ** (attempt - 1)))
      pauses.push(Number(ms))
      if (attempt < 12) await delivery.world.clock.skip()
    }
    expect(Math.max(...pauses)).toBeGreaterThan(retry.minMs)
    expect(new Set(pauses).size).toBeGreaterThan(6)
    await delivery.recovers()
  })

  // LB-093
  test.each([429, 503])('a %i with Retry-After is obeyed', async (status) => {
    await using delivery = await Post.prepare()
    post().reply(status, '', { 'retry-after': '120' })
    await delivery.failed()
    expect(delivery.delivery.report).toMatchObject({ retryInMs: 120_000 })
    post().reply(200, receiptFor(delivery.entries), receiptType)
    await delivery.world.clock.someoneSleeps()
    delivery.world.clock.advance(119_999)
    expect(delivery.world.told.named('requestSent')).toHaveLength(1)
    delivery.world.clock.advance(1)
    await delivery.world.told.told('forgotten')
  })

  test('a Retry-After is obeyed for ten minutes and no longer: nobody signed it', async () => {
    await using delivery = await Post.prepare()
    post().reply(503, '', { 'retry-after': '86400' })
    await delivery.failed()
    expect(delivery.delivery.report).toMatchObject({ retryInMs: 600_000 })
    post().reply(200, receiptFor(delivery.entries), receiptType)
    expect(await delivery.world.clock.skip()).toBe(600_000)
    await delivery.world.told.told('forgotten')
  })

  test.each(['Fri, 21 Nov 2036 08:00:00 GMT', '-5', 'soon', '99999999999'])(
    'a Retry-After of "%s" is passed over',
    async (after) => {
      await using delivery = await Post.prepare()
      post().reply(503, '', { 'retry-after': after })
      await delivery.failed()
      const report = delivery.delivery.report
      expect(report.is === 'waiting' && report.retryInMs).toBeLessThanOrEqual(retry.minMs)
    },
  )

  test('three failures, then a receipt: delivered, the fourth time, once', async () => {
    await using delivery = await Post.prepare()
    post().times(3).reply(503, 'broken')
    post().reply(200, receiptFor(delivery.entries), receiptType)
    delivery.start()
    for (let attempt = 1; attempt <= 3; attempt++) {
      await delivery.world.told.told('deliveryFailed', attempt)
      await delivery.world.clock.skip()
    }
    expect(await delivery.world.told.told('deliveryRecovered')).toEqual([3])
    expect(delivery.world.told.named('requestSent')).toHaveLength(4)
    expect(delivery.world.told.named('forgotten')).toEqual([[3]])
  })

  test('somebody in a hurry ends the pause', async () => {
    await using delivery = await Post.prepare()
    post().reply(503, '', { 'retry-after': '3600' })
    await delivery.failed()
    post().reply(200, receiptFor(delivery.entries), receiptType)
    await delivery.world.clock.someoneSleeps()
    delivery.delivery.hurry()
    expect(await delivery.world.told.told('forgotten')).toEqual([3])
  })

  test('a disk that refuses to forget is named, and the records are delivered again', async () => {
    await using delivery = await Post.prepare()
    post().times(2).reply(200, receiptFor(delivery.entries), receiptType)
    delivery.world.disk.failing.set('indexWrite', 'ENOSPC')
    expect(await delivery.failed()).toMatchObject({ why: expect.stringContaining('ENOSPC') })
    delivery.world.disk.failing.clear()
    await delivery.world.clock.skip()
    await delivery.world.told.told('forgotten')
    expect(delivery.queue.ledger.records).toBe(0)
  })
})
