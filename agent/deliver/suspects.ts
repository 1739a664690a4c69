import type { Batch, BatchEntry } from '../queue/batch.ts'
import { placeText } from '../queue/index-entry.ts'
import type { Queue } from '../queue/queue.ts'

/** So often a record alone must bring an answer that brings down its request, while others get through. */
const believedTimes = 3
/** Of so many records it is remembered how often they did. */
const maxCounted = 512
/** Tried again for one receipt that others get, at most, of the oldest: all of them are remembered until the next. */
const maxTried = 128
/** So many in a row are passed over one at a time; after that, with each that fails, twice as many as before. */
const patientTimes = 6

interface Count {
  times: number
  /** Receipts that there had been when it failed last. */
  receipts: number
}

type PassingOver = Pick<
  Queue,
  'passOver' | 'takeBackUntried' | 'takePassedOver' | 'rewindPassedOver' | 'setAside'
>

/**
 * Records that may be bad: those that a receipt refused, and may have been damaged on the way; and those that, sent alone,
 * brought an answer that nobody signed and that may be their own fault (400, 413, 422). They are passed over, so that they
 * block nothing, however many they are, and tried again. Where nobody signed, only if others get receipts meanwhile is it
 * theirs and not the server's.
 */
export class Suspects {
  readonly #queue: PassingOver
  /** By place. */
  readonly #counts = new Map<string, Count>()
  /** The batch of them that is tried again, and whether beside others that get receipts. */
  #tried: { readonly batch: Batch; readonly isBeside: boolean } | undefined
  /** Failed since the last receipt, at their first try. */
  #inARow = 0
  #receipts = 0
  /** So many records and bytes may be tried again before the next receipt. */
  #triesLeft = 0
  #bytesLeft = 0
  /** How many are tried again at once: more where it turns out that they were not to blame. */
  #atOnce = 1
  /** As many as a batch may have: among those that follow there may be another. */
  #maxRecords = Infinity

  constructor(queue: PassingOver) {
    this.#queue = queue
  }

  /**
   * One, or more, to be tried again: with a receipt that others get about as many bytes as it was for, the oldest first;
   * where nothing else waits, each in turn. It is over with `receipted`, `failed` or `left`.
   */
  async next(maxBytes: number, maxRecords: number, isAlone: boolean): Promise<Batch | undefined> {
    const isBeside = this.#triesLeft > 0 && this.#bytesLeft > 0
    if (this.#tried || !(isBeside || isAlone)) return undefined
    const atOnce = Math.min(this.#atOnce, maxRecords)
    const batch = await this.#queue.takePassedOver(maxBytes, atOnce, isAlone)
    if (!batch) return undefined
    this.#tried = { batch, isBeside }
    this.#triesLeft -= batch.entries.length
    this.#bytesLeft -= batch.bytes.length
    return batch
  }

  /** How many records a batch may have of what was not tried yet: fewer while there are suspects, more with every receipt. */
  get maxRecords(): number {
    return this.#maxRecords
  }

  /** A receipt came that judges each of them by itself: more of them can be tried at once. */
  judged(batch: Batch): void {
    if (this.#tried?.batch === batch) this.#atOnce *= 2
  }

  /** True where it is tried again beside others: that it fails says nothing of the link, and is no reason to pause. */
  isTriedBeside(batch: Batch): boolean {
    return this.#tried?.batch === batch && this.#tried.isBeside
  }

  /** Its request came to an end that says nothing of it, or to none. */
  left(batch: Batch): void {
    if (this.#tried?.batch === batch) this.#tried = undefined
  }

  /** A receipt came for a batch, and takes some of it. */
  receipted(batch: Batch): void {
    for (const entry of batch.entries) this.#counts.delete(placeText(entry))
    this.#receipts++
    if (this.#tried?.batch !== batch) this.#maxRecords *= 2
    this.#triesLeft = maxTried
    this.#bytesLeft = batch.bytes.length
    this.#queue.rewindPassedOver()
    if (this.#inARow > patientTimes) this.#queue.takeBackUntried()
    this.#inARow = 0
  }

  /** A receipt judges each of a batch by itself, and refuses these, which may be all of it. */
  async refused(batch: Batch, entries: readonly BatchEntry[]): Promise<void> {
    if (this.#tried?.batch === batch) return this.#refusedAgain(this.#tried)
    if (entries.length === batch.entries.length) this.#inARow++
    await this.#queue.passOver(entries, this.#untried)
  }

  /** It is remembered how often of a limited number: where all take turns, and are more, none would be set aside. */
  #refusedAgain({ isBeside }: { readonly isBeside: boolean }): void {
    if (!isBeside) this.#queue.rewindPassedOver()
  }

  /** A batch was answered so. Of several records it is not known which is to blame. */
  async failed(batch: Batch, why: string): Promise<void> {
    if (this.#tried?.batch === batch) this.#atOnce = 1
    else this.#maxRecords = Math.max(1, batch.entries.length >> 1)
    const [entry] = batch.entries
    if (!entry || batch.entries.length > 1) return
    if (this.#count(placeText(entry)) < believedTimes) return this.#passOver(batch)
    this.#counts.delete(placeText(entry))
    await this.#queue.setAside([{ ...entry, why }])
  }

  async #passOver(batch: Batch): Promise<void> {
    if (this.#tried?.batch === batch) return
    this.#inARow++
    await this.#queue.passOver(batch.entries, this.#untried)
  }

  /** What is passed over with the last that failed. */
  get #untried(): number {
    return this.#inARow > patientTimes ? 2 ** (this.#inARow - patientTimes) : 0
  }

  /** A time counts where a receipt came since the one before. */
  #count(place: string): number {
    const known = this.#counts.get(place)
    const times = (known?.times ?? 0) + (this.#receipts > (known?.receipts ?? -1) ? 1 : 0)
    this.#counts.delete(place)
    this.#counts.set(place, { times, receipts: this.#receipts })
    const [oldest] = this.#counts.keys()
    if (oldest !== undefined && this.#counts.size > maxCounted) this.#counts.delete(oldest)
    return times
  }
}
