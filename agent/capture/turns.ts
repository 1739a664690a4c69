import type { Clock } from '../clock.ts'
import { Doorbell } from '../doorbell.ts'
import { lanes, type Lane } from '../queue/lane.ts'
import type { TaskGroup } from '../task-group.ts'
import type { Generation } from './generation.ts'

/** Who waits for a turn, and how many have one. */
interface Line {
  readonly waiting: Set<Generation>
  taken: number
}

const emptyLine = (): Line => ({ waiting: new Set(), taken: 0 })

/**
 * Lets files take turns, in the order in which they asked, of each lane a few at once: a lane that waits for room in the
 * queue holds up no other. Each file has one turn at a time.
 */
export class Turns {
  readonly #most: () => number
  readonly #tasks: TaskGroup
  /** Gives whether the file goes on with its next turn. */
  readonly #take: (generation: Generation, signal: AbortSignal) => Promise<boolean>
  readonly #lines: Readonly<Record<Lane, Line>> = { high: emptyLine(), normal: emptyLine(), low: emptyLine() }
  readonly #ended = new Doorbell()

  /** `most`: of one lane at once, as it is at the moment. */
  constructor(
    most: () => number,
    tasks: TaskGroup,
    take: (generation: Generation, signal: AbortSignal) => Promise<boolean>,
  ) {
    this.#most = most
    this.#tasks = tasks
    this.#take = take
  }

  /** Gives the file a turn, or another one if it has one now. With `isOnlyDue` it need not be read, unless somebody else wants that. */
  want(generation: Generation, isOnlyDue = false): void {
    if (generation.isOver) return
    generation.isOnlyDue = isOnlyDue && generation.turn === 'none'
    if (generation.turn === 'taken') generation.isWanted = true
    if (generation.turn !== 'none') return
    generation.turn = 'waiting'
    const line = this.#lines[generation.source.priority]
    line.waiting.add(generation)
    this.#letIn(line)
  }

  #letIn(line: Line): void {
    for (const generation of line.waiting) {
      if (line.taken >= this.#most() || this.#tasks.signal.aborted) return
      line.waiting.delete(generation)
      line.taken++
      this.#begin(generation)
      this.#tasks.start((signal) => this.#run(generation, line, signal))
    }
  }

  async #run(generation: Generation, line: Line, signal: AbortSignal): Promise<void> {
    let isMore = false
    try {
      isMore = await this.#take(generation, signal)
    } finally {
      line.taken--
      this.release(generation)
    }
    if (isMore) this.want(generation)
    this.#letIn(line)
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
    generation.turnsEnded++
    if (generation.isWanted) this.want(generation)
    this.#ended.ring()
  }

  get #isAwaited(): boolean {
    return lanes.some((lane) => this.#lines[lane].waiting.size > 0)
  }

  /** Resolves when no file waits for a turn, after `maxMs`, or when the signal fires. */
  async quiet(maxMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const untilMs = clock.monotonicMs() + maxMs
    for (let leftMs = maxMs; leftMs > 0 && this.#isAwaited; leftMs = untilMs - clock.monotonicMs()) {
      await this.#ended.waitBeyond(this.#ended.rings, leftMs, clock, signal)
      if (signal.aborted) return
    }
  }
}
