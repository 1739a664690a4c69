import type { VerifiedRecord } from '../../protocol/verify.ts'
import { Intake } from './intake.ts'
import { factsOf } from '../catalog/record-facts.ts'
import type { RecordFacts } from '../catalog/catalog.ts'
import type { Judgement } from './judge.ts'
import type { Sender } from './sender.ts'
import type { Settler, SettlerParts } from './settle.ts'
import { TurnsByName } from './turns-by-name.ts'

export interface InflowParts extends SettlerParts {
  readonly settler: Settler
  /** For how long a record that arrived may wait for the rest of its batch before it is made durable. */
  readonly settleMs: number
}

/** What became of a record: provisionally when it is taken, for good when it is durable. */
export interface Fate extends Pick<Judgement, 'outcome'> {
  /** Its place in the batch. */
  readonly index: number
  readonly facts: RecordFacts
}

/**
 * The records of one batch while they arrive: over a slow link that takes longer than most links live, so what is here is
 * made durable every now and then, and whenever somebody asks what is here, and not only at the end.
 */
export class Inflow implements AsyncDisposable {
  readonly #sender: Sender
  readonly #parts: InflowParts
  readonly #tell: (fate: Fate) => void
  readonly #turns = new TurnsByName()
  readonly #open: Disposable
  #intake: Intake | undefined
  /** Ends the wait for the rest of the batch. */
  #waiting: AbortController | undefined
  #waits: Promise<unknown> = Promise.resolve()
  /** Why some of it could not be made durable. */
  #failure: { readonly cause: unknown } | undefined

  constructor(sender: Sender, parts: InflowParts, tell: (fate: Fate) => void) {
    this.#sender = sender
    this.#parts = parts
    this.#tell = tell
    this.#open = parts.settler.open(sender.device, () => this.settle())
  }

  /** Writes the record if it is new. */
  async take(record: VerifiedRecord, index: number): Promise<void> {
    using _turn = await this.#turns.take('')
    this.#throwFailure()
    this.#intake ??= new Intake(this.#sender, this.#parts)
    const { outcome } = await this.#intake.take(record, index)
    this.#tell({ index, facts: factsOf(record), outcome })
    if (this.#intake.arrivals.length > 0) this.#settleLater()
  }

  /** All that was taken before is durable once this resolves. */
  async settle(): Promise<void> {
    using _turn = await this.#turns.take('')
    this.#throwFailure()
    await this.#settle()
  }

  /** What could not be made durable is gone, and so is the batch: no receipt may ever speak of it. */
  async #settle(): Promise<void> {
    this.#waiting?.abort()
    this.#waiting = undefined
    try {
      await this.#settleIntake()
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    }
  }

  async #settleIntake(): Promise<void> {
    if (!this.#intake) return
    await using intake = this.#intake
    this.#intake = undefined
    for (const { arrival, judgement } of await this.#parts.settler.settle(intake)) {
      this.#tell({ ...arrival, outcome: judgement.outcome })
    }
  }

  #settleLater(): void {
    if (this.#waiting) return
    const waiting = new AbortController()
    this.#waiting = waiting
    this.#waits = Promise.all([this.#waits, this.#settleAfter(waiting.signal)])
  }

  /** Never throws: who takes or settles next is told. */
  async #settleAfter(signal: AbortSignal): Promise<void> {
    await this.#parts.clock.sleep(this.#parts.settleMs, signal)
    using _turn = await this.#turns.take('')
    if (!signal.aborted) await this.#settle().catch(tellNext)
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.cause
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open[Symbol.dispose]()
    this.#waiting?.abort()
    await this.#waits
    using _turn = await this.#turns.take('')
    await this.#intake?.[Symbol.asyncDispose]()
  }
}

/** The failure is kept. */
const tellNext = (): void => undefined
