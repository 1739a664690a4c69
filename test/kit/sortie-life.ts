import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../agent/clock.ts'
import type { Journal } from '../../agent/journal.ts'
import type { World } from '../../agent/world.ts'

/** What an agent of a test lives on. When it ends, the agent can do nothing more to anything outside of itself. */
export class Life {
  readonly #over = new AbortController()
  /** What the disk was asked to do and has not done yet. */
  readonly #underWay = new Set<Promise<unknown>>()
  /** Files and databases that are open. */
  readonly #held = new Set<object>()

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  /**
   * As SIGKILL does: what the kernel has begun is done, nobody hears of it, and what was open is closed; LevelDB's lock is
   * free when this resolves.
   */
  async end(): Promise<void> {
    this.#over.abort()
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    for (const open of this.#held) await close(open)
    this.#held.clear()
  }

  /** Does the work and gives its result; once the life is over, neither. */
  async spend<T>(work: () => Promise<T>): Promise<T> {
    await this.#orDie()
    const doing = work()
    const settled = doing.then((result) => this.hold(result)).finally(() => this.#underWay.delete(settled))
    this.#underWay.add(settled)
    const result = await settled
    await this.#orDie()
    return result
  }

  /** Does what takes no time. */
  spendAtOnce<T>(work: () => T): T {
    if (this.isOver) throw wasKilled()
    return this.hold(work())
  }

  /** Closes it at the end, if nobody does before. */
  hold<T>(result: T): T {
    if (typeof result === 'object' && result !== null && isHeld(result)) this.#held.add(result)
    return result
  }

  /** Gives up one thing that was open, once. */
  async release(open: object): Promise<void> {
    if (this.#held.delete(open)) await close(open)
  }

  async #orDie(): Promise<void> {
    if (!this.isOver) return
    // A turn of the loop, so that whatever tries again for ever lets others live.
    await setImmediate()
    throw wasKilled()
  }
}

const wasKilled = (): Error => new Error('this agent was killed')

const isHeld = (thing: object): boolean => Symbol.asyncDispose in thing || Symbol.dispose in thing

async function close(open: object): Promise<void> {
  if (Symbol.asyncDispose in open) await (open as AsyncDisposable)[Symbol.asyncDispose]()
  else (open as Disposable)[Symbol.dispose]()
}

/** The world for as long as the life lasts. */
export function mortalWorld(world: World, life: Life): World {
  return {
    ...world,
    clock: mortalClock(world.clock, life),
    files: mortal(world.files, life),
    journal: mortalJournal(world.journal, life),
    openIndex: async (directory) => mortal(await life.spend(() => world.openIndex(directory)), life),
  }
}

/** Every method of it, and of what its methods give out, ends with the life. */
function mortal<T extends object>(thing: T, life: Life): T {
  return new Proxy(thing, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (ends.has(name)) return () => life.release(target)
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args)
      if (begins.has(name))
        return (...args: unknown[]) =>
          mortal(
            life.spendAtOnce(() => call(...args) as object),
            life,
          )
      if (name === 'entries') return (...args: unknown[]) => each(() => call(...args) as AsyncGenerator, life)
      return async (...args: unknown[]) => {
        const result = await life.spend(async () => call(...args))
        return typeof result === 'object' && result !== null && isHeld(result) ? mortal(result, life) : result
      }
    },
  })
}

const ends: ReadonlySet<string | symbol> = new Set([Symbol.asyncDispose, Symbol.dispose, 'close'])
/** What begins something and does not wait for it: reads of LevelDB. */
const begins: ReadonlySet<string | symbol> = new Set(['iterator', 'keys', 'values'])

async function* each(begin: () => AsyncGenerator, life: Life): AsyncGenerator {
  const steps = await life.spend(async () => ({ all: begin() }))
  try {
    for (;;) {
      const step = await life.spend(() => steps.all.next())
      if (step.done) return
      yield step.value
    }
  } finally {
    await steps.all.return(undefined)
  }
}

function mortalClock(clock: Clock, life: Life): Clock {
  return {
    bootId: clock.bootId,
    monotonicMs: () => clock.monotonicMs(),
    wallMs: () => clock.wallMs(),
    wallState: () => clock.wallState(),
    sleep: async (ms, signal) => {
      if (life.isOver) return setImmediate()
      const waking = new AbortController()
      const wake = (): void => waking.abort()
      const both = [signal, life.signal]
      for (const one of both) one.addEventListener('abort', wake)
      if (signal.aborted) wake()
      await clock.sleep(ms, waking.signal)
      for (const one of both) one.removeEventListener('abort', wake)
    },
  }
}

function mortalJournal(journal: Journal, life: Life): Journal {
  return new Proxy(journal, {
    get: (target, name) => (life.isOver ? () => undefined : (Reflect.get(target, name) as unknown)),
  })
}

/** The same clock, which runs so many times as fast. Wall time stays what it is. */
export function hastyClock(clock: Clock, factor: number): Clock {
  return {
    bootId: clock.bootId,
    monotonicMs: () => clock.monotonicMs() * factor,
    wallMs: () => clock.wallMs(),
    wallState: () => clock.wallState(),
    sleep: (ms, signal) => clock.sleep(ms / factor, signal),
  }
}
