/** The journal that kills this process at the moment when `step` is told for the `nth` time. */
export function dyingAt<J extends object>(journal: J, step: string, nth: number): J {
  let told = 0
  const tell = Reflect.get(journal, step) as (...facts: unknown[]) => void
  const dying = (...facts: unknown[]): void => {
    tell.apply(journal, facts)
    if (++told === nth) process.kill(process.pid, 'SIGKILL')
  }
  return { ...journal, [step]: dying }
}
