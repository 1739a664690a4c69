import type { Clock } from '../clock.ts'
import { Doorbell } from '../doorbell.ts'
import type { TaskGroup } from '../task-group.ts'
import type { Generation } from './generation.ts'

/** Lets files take turns, in the order in which they asked, a few at once; each file has one turn at a time. */
export class Turns {
  readonly #most: number
  readonly #tasks: TaskGroup
  /** Gives whether the file goes on with its next turn. */
  readonly #take: (generation: Generation, signal: AbortSignal) => Promise<boolean>
  readonly #line = new Set<Generation>()
  readonly #ended = new Doorbell()
  #taken = 0

  constructor(
    most: number,
    tasks: TaskGroup,
    take: (generation: Generation, signal: AbortSignal) => Promise<boolean>,
  ) {
    this.#most = most
    this.#tasks = tasks
    this.#take = take
  }

  /** Gives the file a turn, or another one if it has one now. */
  want(generation: Generation): void {
    if (generation.isOver) return
    if (generation.turn === 'taken') generation.isWanted = true
    if (generation.turn !== 'none') return
    generation.turn = 'waiting'
    this.#line.add(generation)
    this.#letIn()
  }

  #letIn(): void {
    for (const generation of this.#line) {
      if (this.#taken >= this.#most || this.#tasks.signal.aborted) return
      this.#line.delete(generation)
      this.#taken++
      this.#begin(generation)
      this.#tasks.start((signal) => this.#run(generation, signal))
    }
  }

  async #run(generation: Generation, signal: AbortSignal): Promise<void> {
    let isMore = false
    try {
      isMore = await this.#take(generation, signal)
    } finally {
      this.#taken--
      this.release(generation)
    }
    if (isMore) this.want(generation)
    this.#letIn()
  }

  /** Takes the file's turn for something else, which must release it. False where it has one. */
  hold(generation: Generation): boolean {
    if (generation.turn !== 'none' || generation.isOver) return false
    this.#begin(generation)
    return true
  }

  #begin(generation: Generation): void {
    generation.turn = 'taken'
    generation.isWanted = false
  }

  release(generation: Generation): void {
    generation.turn = 'none'
    if (generation.isWanted) this.want(generation)
    this.#ended.ring()
  }

  /** Resolves when no file waits for a turn, after `maxMs`, or when the signal fires. */
  async quiet(maxMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const untilMs = clock.monotonicMs() + maxMs
    for (let leftMs = maxMs; leftMs > 0 && this.#line.size > 0; leftMs = untilMs - clock.monotonicMs()) {
      await this.#ended.waitBeyond(this.#ended.rings, leftMs, clock, signal)
      if (signal.aborted) return
    }
  }
}
