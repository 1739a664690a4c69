import { describe, expect, test } from 'vitest'
import { catchUpBytesFor, chunkBytesFor } from '../../agent/deliver/chunk-size.ts'
import { LinkModel } from '../../agent/deliver/link-model.ts'
import { RequestSize } from '../../agent/deliver/request-size.ts'
import { TokenBucket } from '../../agent/deliver/token-bucket.ts'

const known = (): LinkModel => {
  const model = new LinkModel()
  const upload = model.begin(100 << 20, 0)
  model.left(upload, 100 << 20, 0)
  model.receipted(upload, 1000)
  return model
}

describe('the size of requests', () => {
  test('grows from 400 ms of the rate to 1.5 s, and begins again after a cut', () => {
    const size = new RequestSize(4 << 20)
    const link = { rate: 1000, pipeBytes: 0, isGrowing: false }
    expect(size.next(link, 0)).toBe(400_000)
    for (let times = 0; times < 10; times++) size.grow()
    expect(size.next(link, 0)).toBe(1_500_000)
    expect(size.next({ ...link, isGrowing: true }, 0)).toBe(400_000)
    size.shrink(1_500_000)
    expect(size.next(link, 0)).toBe(400_000)
    expect(size.next({ ...link, pipeBytes: 600_000 }, 0)).toBe(750_000)
    expect(size.next({ ...link, pipeBytes: 600_000 }, 1)).toBe(400_000)
  })

  test('that fell with one cut is halved once', () => {
    const size = new RequestSize(4 << 20)
    for (let times = 0; times < 4; times++) size.shrink(1 << 20)
    expect(size.next(known(), 0)).toBe(512 << 10)
  })

  test('halves with each cut, grows by a step with each receipt, and stays within what is allowed', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    expect(size.next(model, 0)).toBe(4 << 20)
    size.shrink(4 << 20)
    size.shrink(2 << 20)
    expect(size.next(model, 0)).toBe(1 << 20)
    size.grow()
    expect(size.next(model, 0)).toBe((1 << 20) + (128 << 10))
    for (let times = 0; times < 100; times++) size.grow()
    expect(size.next(model, 0)).toBe(4 << 20)
    for (let times = 0; times < 100; times++) size.shrink(size.next(model, 0))
    expect(size.next(model, 0)).toBe(1)
  })

  test('stays under one that was too large, whatever the server says that it takes, and grows slowly again', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.refusedAt(3 << 20)
    expect(size.next(model, 0)).toBe((3 << 20) / 2)
    size.allow(4 << 20)
    expect(size.next(model, 0)).toBe((3 << 20) / 2)
    for (let times = 0; times < 50; times++) size.grow()
    expect(size.next(model, 0)).toBeLessThan(3 << 20)
    for (let times = 0; times < 200; times++) size.grow()
    expect(size.next(model, 0)).toBe(4 << 20)
  })

  test('is no more than the server says', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.allow(2 << 20)
    expect(size.next(model, 0)).toBe(2 << 20)
    size.allow(1 << 30)
    expect(size.next(model, 0)).toBe(4 << 20)
  })
})

test('chunks are what a link carries in 4 s, at least 64 KiB, once its rate does not grow', () => {
  expect(chunkBytesFor({ rate: 125, isGrowing: false })).toBe(500_000)
  expect(chunkBytesFor({ rate: 8, isGrowing: false })).toBe(64 << 10)
  expect(chunkBytesFor({ rate: 8, isGrowing: true })).toBe(Infinity)
  expect(chunkBytesFor({ rate: undefined, isGrowing: false })).toBe(Infinity)
})

test('where much waits chunks are 2 MiB, and more only as the link has shown to carry in 2 s', () => {
  expect(catchUpBytesFor({ rate: undefined })).toBe(2 << 20)
  expect(catchUpBytesFor({ rate: 8 })).toBe(2 << 20)
  expect(catchUpBytesFor({ rate: 1500 })).toBe(3_000_000)
  expect(catchUpBytesFor({ rate: 100_000 })).toBe(200_000_000)
})

test('a limit of bytes a second is kept to over any second, and smooth', () => {
  const bucket = new TokenBucket(10_000, 0)
  let taken = 0
  let longestMs = 0
  for (let nowMs = 0; nowMs < 10_000;) {
    const waitMs = bucket.waitMs(nowMs)
    longestMs = Math.max(longestMs, waitMs)
    nowMs += waitMs
    if (waitMs > 0) continue
    bucket.take(bucket.pieceBytes, nowMs)
    taken += bucket.pieceBytes
  }
  expect(taken).toBeGreaterThan(99_000)
  expect(taken).toBeLessThan(102_500)
  expect(longestMs).toBeLessThan(150)
})
