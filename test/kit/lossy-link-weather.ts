import { setTimeout as sleep } from 'node:timers/promises'
import type { LossyLink } from './lossy-link.ts'
import type { Conditions } from './lossy-link-radio.ts'

/** So long the air is like this. What is left out is perfect. */
export interface WeatherStep extends Conditions {
  readonly forMs: number
  /** At most one of these is true. */
  readonly isCut?: boolean
  readonly isRefusing?: boolean
  readonly isBlackHole?: boolean
  /** What is open when the step begins is dead for ever, untold; what opens then works. */
  readonly isHalfOpen?: boolean
}

/** What a link goes through. */
export interface Weather {
  readonly steps: readonly WeatherStep[]
  /** Begins anew after the last step; else the last step stays. */
  readonly isLooped: boolean
}

const numbers = new Set([
  'forMs',
  'latencyMs',
  'jitterMs',
  'bytesPerSecond',
  'lossRate',
  'retransmitMs',
  'stallMs',
  'stallEveryMs',
])
const fates = ['isCut', 'isRefusing', 'isBlackHole', 'isHalfOpen'] as const

/**
 * Weather as JSON: a list of steps, looped, or `{"isLooped": false, "steps": […]}`. Throws a TypeError that says what is wrong
 * with which step.
 */
export function parseWeather(text: string): Weather {
  const given = JSON.parse(text) as unknown
  const { steps, isLooped = true } = (Array.isArray(given) ? { steps: given } : given) as Partial<Weather>
  if (!Array.isArray(steps) || steps.length === 0)
    throw new TypeError('weather is a list of at least one step')
  for (const [index, step] of steps.entries()) {
    const wrong = whatIsWrong(step)
    if (wrong !== undefined) throw new TypeError(`step ${index} of the weather: ${wrong}`)
  }
  return { steps: steps as readonly WeatherStep[], isLooped }
}

function whatIsWrong(step: unknown): string | undefined {
  if (typeof step !== 'object' || step === null) return 'expected a map'
  for (const [name, value] of Object.entries(step)) {
    const isNumber = numbers.has(name)
    if (!isNumber && !fates.some((fate) => fate === name)) return `there is no ${name}`
    if (isNumber && !(typeof value === 'number' && value >= 0)) return `${name} is a number from 0 up`
    if (!isNumber && typeof value !== 'boolean') return `${name} is true or false`
  }
  const { forMs = 0, bytesPerSecond = 1, ...rest } = step as Partial<WeatherStep>
  if (forMs === 0) return 'forMs says how many milliseconds it lasts'
  if (bytesPerSecond === 0) return 'bytesPerSecond is more than 0: isBlackHole is how nothing passes'
  return fates.filter((fate) => rest[fate]).length > 1 ? `only one of ${fates.join(', ')}` : undefined
}

/**
 * Puts a link through the weather until the signal fires, or for ever. `tell` hears of each step as it begins. Steps
 * are due by the time since the start, so that they do not drift.
 */
export async function playWeather(
  link: LossyLink,
  weather: Weather,
  tell: (step: WeatherStep) => void,
  signal: AbortSignal,
): Promise<void> {
  let dueMs = performance.now()
  do {
    for (const step of weather.steps) {
      if (signal.aborted) return
      apply(link, step)
      tell(step)
      dueMs += step.forMs
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined)
    }
  } while (weather.isLooped)
}

function apply(link: LossyLink, step: WeatherStep): void {
  link.restore()
  link.change(step)
  if (step.isCut) link.cut()
  if (step.isRefusing) link.refuse()
  if (step.isBlackHole) link.blackHole()
  if (step.isHalfOpen) link.halfOpen()
}
