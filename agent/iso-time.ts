const digits = (count: number, digitCount: number): string => String(count).padStart(digitCount, '0')

/**
 * A wall clock's time in UTC as `Date.toISOString` says it (ISO 8601), from 1970 on. That asks ICU what the time zone here is
 * called, though it says nothing of it, and what answers is kept in memory.
 */
export function isoTime(wallMs: number): string {
  const at = new Date(wallMs)
  const year = at.getUTCFullYear()
  // More digits than four have a sign.
  const years = year > 9999 ? `+${digits(year, 6)}` : digits(year, 4)
  const day = [years, digits(at.getUTCMonth() + 1, 2), digits(at.getUTCDate(), 2)].join('-')
  const clock = [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()].map((part) => digits(part, 2))
  return `${day}T${clock.join(':')}.${digits(at.getUTCMilliseconds(), 3)}Z`
}
