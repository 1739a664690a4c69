import { describe, expect, test } from 'vitest'
import { LastWhile, type Receipted } from '../../agent/deliver/last-while.ts'
import { MostRate } from '../../agent/deliver/most-rate.ts'
import { PromptReceipts } from '../../agent/deliver/prompt-receipts.ts'
import { mulberry32 } from '../kit/lossy-link-radio.ts'
import { SimulatedLink } from '../kit/simulated-link.ts'

/** What arrives of all that the link could carry while it moved; it stood still for 5 s, 30 times. */
function shareThroughStalls(recordBytes: number, seed: number): number {
  const chance = mulberry32(seed)
  const air = { rate: 125, roundTripMs: 200 }
  const simulated = new SimulatedLink(air, recordBytes)
  let movingMs = 0
  for (let stalls = 0; stalls < 30; stalls++) {
    const ms = 200 + Math.floor(-Math.log(1 - chance()) * 4000)
    movingMs += ms
    simulated.air = air
    simulated.run(ms)
    simulated.air = { ...air, rate: 0 }
    simulated.run(5000)
  }
  return simulated.receiptedBytes / (movingMs * air.rate)
}

describe('a link that stands still half of the time is filled in the other half', () => {
  // Those of which a rate that had been found too low once brought less than four fifths.
  test.each([
    { recordBytes: 20_000, seeds: [7, 8, 11, 17, 29], least: 0.85 },
    // Its first ten pauses come so soon after each other that none of the first records passes without one.
    { recordBytes: 330_000, seeds: [29], least: 0.6 },
  ])('with records of $recordBytes bytes, whenever it does', ({ recordBytes, seeds, least }) => {
    for (const seed of seeds) {
      expect(shareThroughStalls(recordBytes, seed), `seed ${seed}`).toBeGreaterThan(least)
    }
  })
})

describe('the most that was seen of late', () => {
  test('is not forgotten for a pause of the link, however many receipts it was in', () => {
    const most = new MostRate()
    most.note(100, true, 0)
    for (let times = 0; times < 20; times++) expect(most.note(10, false, 5000)).toBe(false)
    most.note(10, true, 6000)
    expect(most.note(10, true, 11_000)).toBe(false)
    expect(most.value).toBe(100)
  })

  test('is forgotten where 15 s brought less than a quarter of it, and then it is the last that counts', () => {
    const most = new MostRate()
    most.note(100, true, 0)
    most.note(20, true, 5000)
    expect(most.note(10, true, 15_000)).toBe(true)
    expect(most.value).toBe(10)
  })

  test('is that of ten rounds, whatever took how long', () => {
    const most = new MostRate()
    most.note(100, true, 0)
    for (let round = 1; round < 10; round++) most.note(50, true, round)
    expect(most.value).toBe(100)
    most.note(50, true, 10)
    expect(most.value).toBe(50)
  })
})

/** All that left before this receipt is what it is for. */
const receipted = (deliveredBytes: number, atMs: number): Receipted => ({
  atMs,
  deliveredBytes,
  leftBytes: deliveredBytes,
  leftAt: deliveredBytes,
})

describe('the rate of the last while', () => {
  test('is that of as little of it as is long enough', () => {
    const lastWhile = new LastWhile()
    lastWhile.begin(receipted(0, 0))
    expect(lastWhile.note(receipted(100_000, 900), 1000)).toBe(0)
    expect(lastWhile.note(receipted(200_000, 10_000), 1000)).toBeCloseTo(100_000 / 9100)
    expect(lastWhile.note(receipted(300_000, 10_800), 1000)).toBeCloseTo(200_000 / 9900)
    expect(lastWhile.note(receipted(400_000, 11_600), 1000)).toBeCloseTo(200_000 / 1600)
  })

  test('is not told by what left at once, over several connections, and came to its end at nearly the same time', () => {
    const lastWhile = new LastWhile()
    lastWhile.begin(receipted(0, 0))
    lastWhile.note({ ...receipted(32_000, 13_000), leftBytes: 75_000 }, 1000)
    expect(lastWhile.note(receipted(75_000, 16_000), 1000)).toBe(0)
  })

  test('is told by what left after a receipt, and not by what stood before the link while it stood still', () => {
    const lastWhile = new LastWhile()
    lastWhile.begin(receipted(0, 0))
    lastWhile.note({ ...receipted(100_000, 9000), leftBytes: 130_000 }, 1000)
    expect(lastWhile.note(receipted(400_000, 12_000), 1000)).toBeCloseTo((400_000 - 130_000) / 3000)
  })
})

describe('receipts that come as if nothing had stood before the narrow place', () => {
  test('are believed when there are three of them in a row', () => {
    const prompt = new PromptReceipts()
    const noted = [0, 100, 0, 0, 0].map((standing) => prompt.note(standing, 100))
    expect(noted).toEqual([false, false, false, false, true])
  })

  test('are not forgotten for a pause of the link between them', () => {
    const prompt = new PromptReceipts()
    const noted = [0, 5000, 0, 5000, 0].map((standing) => prompt.note(standing, 100))
    expect(noted).toEqual([false, false, false, false, true])
  })
})
