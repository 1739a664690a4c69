interface RunningLimits {
  /** Batches of senders that proved who they are. */
  readonly maxRequests: number
  /** Batches whose sender has not: the one that came first is cut off for the next. */
  readonly maxStrangers: number
}

/** A batch that is worked on, as those who work on it see it. */
export interface Visit {
  /** Whether there is a slot for the batch now that its sender is known. */
  takeSlot(): boolean
}

interface Stranger {
  readonly cutOff: () => void
}

/**
 * The batches that are worked on, each until its end, whether its client waits for the answer or not. A slot is taken
 * by the first verified record, so that who has no key takes none from those who have.
 */
export class Running {
  readonly #limits: RunningLimits
  readonly #batches = new Set<Promise<unknown>>()
  /** In the order in which they came. */
  readonly #strangers = new Set<Stranger>()
  #slots = 0

  constructor(limits: RunningLimits) {
    this.#limits = limits
  }

  get isFull(): boolean {
    return this.#slots >= this.#limits.maxRequests
  }

  /** `cutOff` ends the input of this batch. */
  async run<T>(work: (visit: Visit) => Promise<T>, cutOff: () => void): Promise<T> {
    using visit = this.#enter({ cutOff })
    const batch = work(visit)
    this.#batches.add(batch)
    try {
      return await batch
    } finally {
      this.#batches.delete(batch)
    }
  }

  async ended(): Promise<void> {
    while (this.#batches.size > 0) await Promise.allSettled(this.#batches)
  }

  #enter(stranger: Stranger): Visit & Disposable {
    const [oldest] = this.#strangers
    if (oldest && this.#strangers.size >= this.#limits.maxStrangers) {
      this.#strangers.delete(oldest)
      oldest.cutOff()
    }
    this.#strangers.add(stranger)
    let slots = 0
    return {
      takeSlot: () => {
        this.#strangers.delete(stranger)
        if (this.isFull) return false
        slots = 1
        this.#slots += slots
        return true
      },
      [Symbol.dispose]: () => {
        this.#strangers.delete(stranger)
        this.#slots -= slots
      },
    }
  }
}
