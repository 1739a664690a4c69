import type { Clock } from '../clock.ts'
import type { Queue } from '../queue/queue.ts'
import type { Follower } from './follower.ts'

/** So many files that came or went are a burst; it is not over while as many records wait for the link. */
const many = 1000
/** Nor while more records than that come or go. */
const fewRecords = 100
/** In so much time, at least. */
const apartMs = 5000

/** Has the memory given back that many files took when they came, once what they brought is on its way no more. */
export class AfterBurst {
  readonly #follower: Pick<Follower, 'changes'>
  readonly #queue: Pick<Queue, 'head' | 'ledger'>
  readonly #clock: Clock
  readonly #releaseMemory: () => void
  /** How often it had changed who is followed when memory was given back last. */
  #changes = 0
  #seen: { readonly sealed: number; readonly waiting: number; readonly atMs: number } | undefined

  constructor(
    follower: Pick<Follower, 'changes'>,
    queue: Pick<Queue, 'head' | 'ledger'>,
    world: { readonly clock: Clock; readonly releaseMemory: () => void },
  ) {
    this.#follower = follower
    this.#queue = queue
    this.#clock = world.clock
    this.#releaseMemory = world.releaseMemory
  }

  /** Call it after each look. */
  looked(): void {
    const before = this.#seen
    const now = {
      sealed: this.#queue.head.next,
      waiting: this.#queue.ledger.records,
      atMs: this.#clock.monotonicMs(),
    }
    if (before && now.atMs - before.atMs < apartMs) return
    this.#seen = now
    if (!before) return
    const records = Math.abs(now.sealed - before.sealed) + Math.abs(now.waiting - before.waiting)
    const isOver = records < fewRecords && now.waiting < many
    if (!isOver || this.#follower.changes - this.#changes < many) return
    this.#changes = this.#follower.changes
    this.#releaseMemory()
  }
}
