import type { DeviceId } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'

export interface RunningLimits {
  /** Requests of senders that proved who they are. */
  readonly maxRequests: number
  /** Of one device; of those that have stood still for `stalledMs`, the one that did so longest goes for the next. */
  readonly maxPerDevice: number
  readonly stalledMs: number
  /** Requests whose sender has not: the one that came first is cut off for the next. */
  readonly maxStrangers: number
  /** What strangers hold of records that are not whole: the one that holds most is cut off. */
  readonly maxStrangerBytes: number
  /** What all others hold of such records. */
  readonly maxHeldBytes: number
}

/** Whether there was a slot; else whether all are taken, or all that this device may have. */
export type SlotVerdict = 'taken' | 'full' | 'deviceFull'

/** A request that is worked on, as those who work on it see it. */
export interface Visit {
  /** Asks for a slot now that the sender is proven. */
  takeSlot(device: DeviceId): SlotVerdict
  /** Bytes came, and so many are held now until more come. False: there is no room for them. */
  holding(bytes: number): boolean
}

interface Guest {
  readonly cutOff: () => void
  /** undefined: a stranger. */
  device: DeviceId | undefined
  heldBytes: number
  movedMs: number
}

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
    using visit = this.#enter({ cutOff, device: undefined, heldBytes: 0, movedMs: this.#clock.now() })
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
      takeSlot: (device) => this.#takeSlot(guest, device),
      holding: (bytes) => this.#hold(guest, bytes),
      [Symbol.dispose]: () => void this.#guests.delete(guest),
    }
  }

  #takeSlot(guest: Guest, device: DeviceId): SlotVerdict {
    if (guest.device !== undefined) return 'taken'
    if (this.isFull) return 'full'
    const own = this.#proven().filter((other) => other.device === device)
    if (own.length >= this.#limits.maxPerDevice && !this.#cutOffStalled(own)) return 'deviceFull'
    guest.device = device
    return 'taken'
  }

  /** A link that died in silence leaves requests behind that look alive: they give way to those that are. */
  #cutOffStalled(own: readonly Guest[]): boolean {
    const [stalest] = own.toSorted((a, b) => a.movedMs - b.movedMs)
    if (!stalest || this.#clock.now() - stalest.movedMs < this.#limits.stalledMs) return false
    this.#cutOff(stalest)
    return true
  }

  #hold(guest: Guest, bytes: number): boolean {
    guest.movedMs = this.#clock.now()
    guest.heldBytes = bytes
    if (guest.device !== undefined) return bytes === 0 || held(this.#proven()) <= this.#limits.maxHeldBytes
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
