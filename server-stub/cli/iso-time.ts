/** The time in UTC; a damaged catalog may hold one that no calendar has. */
export function isoTime(ms: number): string | null {
  const time = new Date(ms)
  return Number.isNaN(time.getTime()) ? null : time.toISOString()
}
