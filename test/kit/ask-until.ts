import { setTimeout as sleep } from 'node:timers/promises'

/** Whoever is asked has the machine for so long: a test that asks without a breath takes from it what it needs to get there. */
const breathMs = 15

/** The first answer that fits. */
export async function askUntil<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (fits(answer)) return answer
    await sleep(breathMs)
  }
}
