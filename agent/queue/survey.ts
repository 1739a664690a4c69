import type { ChainHead } from '../../protocol/chain.ts'
import { isCount, type Epoch } from '../../protocol/ids.ts'
import { keys, lanePrefixes, markKey, type StoredHead } from './index-entry.ts'
import { allUnder, type IndexStore } from './index-store.ts'
import { lanes, type Lane } from './lane.ts'
import type { Extent } from './segment-log.ts'

/** What the index says of itself, before anybody looks into the segments. */
export interface Survey {
  /** Where it is proven to be the chain's. */
  readonly head: ChainHead | undefined
  /** Where the head's last record stands, and its epoch, proven or not. */
  readonly last: Extent | null
  readonly epoch: Epoch | undefined
  /** How many records it has, waiting and set aside. */
  readonly count: number
  /** How many it must have; undefined where it does not say. */
  readonly expected: number | undefined
  /** Of each lane: before this place all that was in segments it has seen has its receipt. */
  readonly marks: Readonly<Record<Lane, string>>
  /** The segments whose records it took in, all but those that came last. */
  readonly seen: ReadonlySet<number>
}

/** `found`: the segments on the disk, all of which an index of an older agent has seen. */
export async function surveyIndex(
  index: IndexStore,
  stored: StoredHead | undefined,
  head: ChainHead | undefined,
  found: readonly number[],
): Promise<Survey> {
  const chain = {
    head,
    last: stored?.at ?? null,
    epoch: stored?.head.epoch,
    count: await countRecords(index),
  }
  const added = numberIn(await index.get(keys.added))
  const removed = numberIn(await index.get(keys.removed)) ?? 0
  const mark = (lane: Lane): Promise<string | undefined> => index.get(markKey(lane))
  const marks = {
    high: (await mark('high')) ?? '',
    normal: (await mark('normal')) ?? '',
    low: (await mark('low')) ?? '',
  }
  if (added !== undefined)
    return { ...chain, expected: added - removed, marks, seen: await seenSegments(index) }
  const old = (await index.get(keys.oldMark)) ?? ''
  const expected = head && placesSince(head, old)
  return { ...chain, expected, marks: { ...marks, normal: old }, seen: new Set(stored ? found : []) }
}

function numberIn(text: string | undefined): number | undefined {
  const value = text === undefined ? undefined : Number(text)
  return isCount(value) ? value : undefined
}

async function countRecords(index: IndexStore): Promise<number> {
  let count = 0
  for (const prefix of [...lanes.map((lane) => lanePrefixes[lane]), keys.aside])
    for await (const _ of allUnder(index, prefix)) count++
  return count
}

async function seenSegments(index: IndexStore): Promise<ReadonlySet<number>> {
  const seen = new Set<number>()
  for await (const [key] of allUnder(index, keys.segments)) seen.add(Number(key.slice(keys.segments.length)))
  return seen
}

/** From the mark of an older agent, which had one lane, to the head. */
function placesSince(head: ChainHead, mark: string): number | undefined {
  const [epoch, seq] = mark === '' ? [head.epoch, 0] : mark.split('/').map(Number)
  return epoch === head.epoch && seq !== undefined ? head.next - seq : undefined
}
