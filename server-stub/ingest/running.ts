import { hex, type DeviceId, type Digest } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'

export interface RunningLimits {
  /** Requests of senders that proved who they are. */
  readonly maxRequests: number
  /** Of one device; of those that stand still, the one that does so longest goes for the next. */
  readonly maxPerDevice: number
  /** For how long the server must have waited for a client that brought less than `stalledBytes`. */
  readonly stalledMs: number
  readonly stalledBytes: number
  /** Requests whose sender has not: the one that came first is cut off for the next. */
  readonly maxStrangers: number
  /** What strangers hold of records that are not whole: the one that holds most is cut off. */
  readonly maxStrangerBytes: number
  /** What all others hold of such records. */
  readonly maxHeldBytes: number
}

/**
 * Whether there was a slot; else whether all are taken, or all that this device may have. unproven: another has a slot for
 * the same proof.
 */
export type SlotVerdict = 'taken' | 'unproven' | 'full' | 'deviceFull'

/** A request that is worked on, as those who work on it see it. */
export interface Visit {
  /** Asks for a slot now that the sender is proven. A proof, by its digest, is good for one slot at a time. */
  takeSlot(device: DeviceId, proof?: Digest): SlotVerdict
  /** Bytes came, and so many are held now until more come. False: there is no room for them. */
  holding(bytes: number): boolean
  /** The same pieces. Between two it is the client that is waited for; else the server works, and nobody stands still. */
  receiving(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
}

interface Guest {
  readonly cutOff: () => void
  /** undefined: a stranger. */
  device: DeviceId | undefined
  /** By what it took its slot. */
  proof: string | undefined
  heldBytes: number
  /** undefined: the server works, or has all that comes. */
  waitingSinceMs: number | undefined
  /** How long it was waited for since it last brought enough, and what it brought meanwhile. */
  waitedMs: number
  broughtBytes: number
}

const newcomer = {
  device: undefined,
  proof: undefined,
  heldBytes: 0,
  waitingSinceMs: undefined,
  waitedMs: 0,
  broughtBytes: 0,
} as const satisfies Omit<Guest, 'cutOff'>

/**
 * The requests that are worked on, each until its end, whether its client waits for the answer or not. A slot is for who
 * has proven to be a device, so that who has no key takes none from those who have, and no device takes them all.
 */
export class Running {
  readonly #limits: RunningLimits
  readonly #clock: Clock
  readonly #work = new Set<Promise<unknown>>()
  /** In the order in which they came. */
  readonly #guests = new Set<Guest>()

  constructor(limits: RunningLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  get isFull(): boolean {
    return this.#proven().length >= this.#limits.maxRequests
  }

  /** `cutOff` ends the input of this request. */
  async run<T>(work: (visit: Visit) => Promise<T>, cutOff: () => void): Promise<T> {
    using visit = this.#enter({ ...newcomer, cutOff })
    const running = work(visit)
    this.#work.add(running)
    try {
      return await running
    } finally {
      this.#work.delete(running)
    }
  }

  async ended(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work)
  }

  #enter(guest: Guest): Visit & Disposable {
    const strangers = this.#strangers()
    if (strangers.length >= this.#limits.maxStrangers) this.#cutOff(strangers[0])
    this.#guests.add(guest)
    return {
      takeSlot: (device, proof) => this.#takeSlot(guest, device, proof && hex(proof)),
      holding: (bytes) => this.#hold(guest, bytes),
      receiving: (pieces) => this.#receive(guest, pieces),
      [Symbol.dispose]: () => void this.#guests.delete(guest),
    }
  }

  #takeSlot(guest: Guest, device: DeviceId, proof: string | undefined): SlotVerdict {
    if (guest.device !== undefined) return 'taken'
    // Who overhears one proof can say it as often as he likes.
    if (proof !== undefined && this.#proven().some((other) => other.proof === proof)) return 'unproven'
    if (this.isFull) return 'full'
    const own = this.#proven().filter((other) => other.device === device)
    if (own.length >= this.#limits.maxPerDevice && !this.#cutOffStalled(own)) return 'deviceFull'
    guest.device = device
    guest.proof = proof
    return 'taken'
  }

  /** A link that died in silence leaves requests behind that look alive: they give way to those that are. */
  #cutOffStalled(own: readonly Guest[]): boolean {
    const [stalest] = own.toSorted((a, b) => this.#stillMs(b) - this.#stillMs(a))
    if (!stalest || this.#stillMs(stalest) < this.#limits.stalledMs) return false
    this.#cutOff(stalest)
    return true
  }

  #stillMs({ waitingSinceMs, waitedMs }: Guest): number {
    return waitingSinceMs === undefined ? 0 : waitedMs + this.#clock.monotonicMs() - waitingSinceMs
  }

  async *#receive(
    guest: Guest,
    pieces: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      guest.waitingSinceMs = this.#clock.monotonicMs()
      for await (const piece of pieces) {
        this.#noteArrival(guest, piece.length)
        yield piece
        guest.waitingSinceMs = this.#clock.monotonicMs()
      }
    } finally {
      guest.waitingSinceMs = undefined
    }
  }

  #noteArrival(guest: Guest, bytes: number): void {
    guest.waitedMs = this.#stillMs(guest)
    guest.waitingSinceMs = undefined
    guest.broughtBytes += bytes
    if (guest.broughtBytes < this.#limits.stalledBytes) return
    guest.waitedMs = 0
    guest.broughtBytes = 0
  }

  #hold(guest: Guest, bytes: number): boolean {
    const isMore = bytes > guest.heldBytes
    guest.heldBytes = bytes
    if (guest.device !== undefined) return !isMore || held(this.#proven()) <= this.#limits.maxHeldBytes
    const strangers = this.#strangers()
    if (held(strangers) > this.#limits.maxStrangerBytes) {
      this.#cutOff(strangers.toSorted((a, b) => b.heldBytes - a.heldBytes)[0])
    }
    return true
  }

  /** It counts no more, though what it brought is still worked on. */
  #cutOff(guest: Guest | undefined): void {
    if (!guest) return
    this.#guests.delete(guest)
    guest.cutOff()
  }

  #strangers(): Guest[] {
    return [...this.#guests].filter(({ device }) => device === undefined)
  }

  #proven(): Guest[] {
    return [...this.#guests].filter(({ device }) => device !== undefined)
  }
}

function held(guests: readonly Guest[]): number {
  return guests.reduce((sum, { heldBytes }) => sum + heldBytes, 0)
}
