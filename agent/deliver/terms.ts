import { maxCapabilitiesBytes, readCapabilities, type Capabilities } from '../../protocol/capabilities.ts'
import { limits, mediaTypes, paths } from '../../protocol/contract.ts'
import { nonceBytes, type RecordName } from '../../protocol/query.ts'
import { askForReceipts } from './asking.ts'
import { catchUpBytesFor, chunkBytesFor } from './chunk-size.ts'
import { hangUpOn } from './hang-up.ts'
import { linkCodes, type Answer, type LinkRequest } from './link.ts'
import { findIn, type Found } from './read-answer.ts'
import { readTerms } from './read-terms.ts'
import type { RequestParts } from './requests.ts'

/** The least time between two questions. */
const leastPauseMs = 60_000
/** While no answer of any kind has come yet: it also tells the round trip, which is wanted as soon as there is a link. */
const unansweredPauseMs = 1000
/** Who sends without a failure asks so often: a store can be emptied between two requests. */
const usualPauseMs = 5 * 60_000
/** Stores that this drone has met: as many as are remembered. */
const maxStores = 16

/** Files are begun again for stores that take turns no sooner than after this, and then after twice as long each time. */
const firstAgainMs = 10 * 60_000
const longestAgainMs = 24 * 3_600_000

const question: LinkRequest = {
  method: 'GET',
  path: paths.capabilities,
  accept: mediaTypes.capabilities,
  maxAnswerBytes: maxCapabilitiesBytes,
}

/**
 * What the server takes, and which store it has. Asked for at the start, when there is a link again, and now and then while
 * there is something to send; and remembered.
 * Nobody signs it: it can only make requests and chunks smaller. A store that is not the one that was met last is asked for
 * a record that has a receipt: where it does not have it, receipts were lost, or several stores take turns.
 */
export class Terms {
  readonly #parts: RequestParts
  readonly #onReceiptsLost: () => Promise<void>
  #known: Pick<Capabilities, 'maxRecordBytes' | 'maxBatchBytes' | 'maxBatchRecords'> | undefined
  /** The one that was met last is the last. */
  #stores: readonly string[] = []
  /** Files are to be begun again, and it is too soon. */
  #isOwed = false
  /** A store that was known was met again since files were last begun again. */
  #isTurning = false
  /** A record that had its receipt when a store was last met. */
  #witness: RecordName | undefined
  #beganAgainMs = -Infinity
  #againMs = firstAgainMs
  #askedMs = -Infinity
  #unansweredMs = unansweredPauseMs
  #isDue = true
  /** One question at a time: where none is answered they would hold all connections. */
  #isAsking = false
  #notice: string | undefined
  /** Questions in a row that brought nothing of a server's. */
  #unanswered = 0
  #doubt: string | undefined

  constructor(parts: RequestParts, onReceiptsLost: () => Promise<void>) {
    this.#parts = parts
    this.#onReceiptsLost = onReceiptsLost
  }

  /** What a person should know, until the next start. */
  get notice(): string | undefined {
    return this.#notice
  }

  /**
   * Why it is not known what the server takes now: requests go by what was known last. One question that breaks is no reason,
   * one that somebody else answers is, and a second one that breaks.
   */
  get doubt(): string | undefined {
    return (
      this.#doubt && `it is not known what the server takes: GET ${paths.capabilities} brought ${this.#doubt}`
    )
  }

  /** A chunk that is no longer makes a record that the server takes, and that is not too long on a slow link. */
  get maxChunkBytes(): number {
    const most = this.#known?.maxRecordBytes ?? Infinity
    const linkBytes = chunkBytesFor(this.#parts.model)
    return Math.min(limits.maxChunkBytes, most - limits.maxRecordOverheadBytes, linkBytes)
  }

  /** The same where much waits in a file, and nobody chose a size. */
  get catchUpBytes(): number {
    return Math.min(this.maxChunkBytes, catchUpBytesFor(this.#parts.model))
  }

  get maxBatchRecords(): number {
    return Math.min(limits.maxBatchRecords, this.#known?.maxBatchRecords ?? Infinity)
  }

  get isDue(): boolean {
    return !this.#isAsking && this.#nowMs - this.#askedMs >= this.#pauseMs
  }

  get #pauseMs(): number {
    if (!this.#parts.model.hasExchanged) return this.#unansweredMs
    return this.#isDue ? leastPauseMs : usualPauseMs
  }

  /** There was no link for a while: another server may answer now. */
  mayHaveChanged(): void {
    this.#isDue = true
  }

  /** As it was known when the agent stopped. */
  async recall(): Promise<void> {
    const { queue } = this.#parts
    const said = await queue.recall('capabilities')
    const answer = said === undefined ? undefined : readCapabilities(Buffer.from(said))
    if (answer?.ok) this.#adopt(answer.capabilities)
    this.#stores = parseStores(await queue.recall('stores'))
    this.#isOwed = (await queue.recall('owed')) === 'yes'
    this.#witness = await queue.lastReceipted()
  }

  /** Asks. Whatever goes wrong with that, delivery goes on with what is known. */
  async ask(signal: AbortSignal): Promise<void> {
    this.#isAsking = true
    try {
      await this.#ask(signal)
    } finally {
      this.#isAsking = false
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { link, model, queue } = this.#parts
    this.#isDue = false
    const askedMs = (this.#askedMs = this.#nowMs)
    const answer = await link.send(question, signal)
    const said = readTerms(answer)
    if (said.is === 'nothing') return this.#ignore(answer, said.why)
    this.#unanswered = 0
    this.#doubt = undefined
    model.noteRoundTrip(this.#nowMs - askedMs, this.#nowMs)
    this.#adopt(said.capabilities)
    await queue.remember('capabilities', JSON.stringify(said.capabilities))
    await this.#meet(said.capabilities.store, signal)
  }

  #ignore(answer: Answer, why: string): void {
    hangUpOn(answer, 'portal')
    this.#isDue = true
    // Who answered something else will do so again: that is no matter of seconds.
    this.#unansweredMs = answer.is === 'answered' ? leastPauseMs : unansweredPauseMs
    if (answer.is === 'cut' && answer.code === linkCodes.abandoned) return
    this.#unanswered++
    this.#doubt = answer.is === 'answered' || this.#unanswered > 1 ? why : undefined
  }

  #adopt(capabilities: Capabilities): void {
    this.#known = capabilities
    this.#parts.size.allow(capabilities.maxBatchBytes)
  }

  async #meet(store: string, signal: AbortSignal): Promise<void> {
    const { queue } = this.#parts
    const isSame = store === this.#stores.at(-1)
    if (!isSame || this.#isOwed) {
      const found = this.#isOwed ? 'has it not' : await this.#compare(store, signal)
      if (found === 'no answer') return this.mayHaveChanged()
      this.#isTurning ||= !isSame && this.#stores.includes(store)
      await this.#owe(found === 'has it not' && (!(await this.#lost(store)) || this.#hasTurned()))
      this.#stores = [...this.#stores.filter((known) => known !== store), store].slice(-maxStores)
      await queue.remember('stores', JSON.stringify(this.#stores))
    }
    this.#witness = await queue.lastReceipted()
  }

  async #owe(isOwed: boolean): Promise<void> {
    if (isOwed !== this.#isOwed) await this.#parts.queue.remember('owed', isOwed ? 'yes' : 'no')
    this.#isOwed = isOwed
  }

  /** Whether stores took turns since files were last begun again: what went to another one than this is owed once more. */
  #hasTurned(): boolean {
    const hasTurned = this.#isTurning
    this.#isTurning = false
    return hasTurned
  }

  /** Whether this store has what others gave receipts for, as far as one record tells. */
  async #compare(store: string, signal: AbortSignal): Promise<Found> {
    if (this.#stores.length === 0) return 'has it'
    if (this.#stores.includes(store)) return 'has it not'
    // What came since may have its receipt from this store already.
    const witness = this.#witness ?? (await this.#parts.queue.lastReceipted())
    return witness ? this.#look(witness, signal) : 'has it'
  }

  /**
   * True where files were begun again. Stores that take turns may not have the drone send the same for ever: what it owes to
   * one of them waits. Who is cut off here asks the store again after the next start.
   */
  async #lost(store: string): Promise<boolean> {
    this.#notice = this.#stores.includes(store)
      ? 'servers with different records take turns at its address'
      : 'the server does not have what it signed for'
    if (this.#nowMs - this.#beganAgainMs < this.#againMs) return false
    if (this.#beganAgainMs > -Infinity) this.#againMs = Math.min(longestAgainMs, 2 * this.#againMs)
    this.#beganAgainMs = this.#nowMs
    this.#parts.world.journal.receiptsLost(store)
    await this.#onReceiptsLost()
    return true
  }

  async #look(record: RecordName, signal: AbortSignal): Promise<Found> {
    const { link, parties, signer, world } = this.#parts
    const asked = askForReceipts([record], parties.device, signer, world.chance.bytes(nonceBytes))
    return findIn(await link.send(asked, signal), record, asked.digest, parties)
  }

  get #nowMs(): number {
    return this.#parts.world.clock.monotonicMs()
  }
}

function parseStores(text: string | undefined): readonly string[] {
  const stores: unknown = text === undefined ? [] : JSON.parse(text)
  return Array.isArray(stores) ? stores.filter((store) => typeof store === 'string') : []
}
