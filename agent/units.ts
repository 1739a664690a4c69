/** Sizes and durations as people write them: `1MiB`, `500KB`, `4096`; `5s`, `1500ms`, `2d`. Whole numbers only. */

/** Largest first, so that printing takes the largest that fits. */
const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['TiB', 1024 ** 4],
  ['TB', 1000 ** 4],
  ['GiB', 1024 ** 3],
  ['GB', 1000 ** 3],
  ['MiB', 1024 ** 2],
  ['MB', 1000 ** 2],
  ['KiB', 1024],
  ['KB', 1000],
])

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
])

/** The bytes that `text` means. */
export function parseSize(text: string): number | undefined {
  return /^\d+$/.test(text) ? toCount(Number(text)) : parseQuantity(text, sizeUnits)
}

/** The milliseconds that `text` means. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, durationUnits)
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, digits, unit] = /^(\d+)([A-Za-z]+)$/.exec(text) ?? []
  const factor = unit === undefined ? undefined : units.get(unit)
  return factor === undefined ? undefined : toCount(Number(digits) * factor)
}

function toCount(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined
}

/** Exact: `parseSize(showSize(bytes))` is `bytes` again. */
export function showSize(bytes: number): string {
  return showQuantity(bytes, sizeUnits) ?? String(bytes)
}

/** Exact: `parseDuration(showDuration(ms))` is `ms` again. */
export function showDuration(ms: number): string {
  return showQuantity(ms, durationUnits) ?? '0s'
}

function showQuantity(value: number, units: ReadonlyMap<string, number>): string | undefined {
  for (const [unit, factor] of units) {
    if (value > 0 && value % factor === 0) return `${value / factor}${unit}`
  }
  return undefined
}

/** For a person to read, rounded: "3.2 MiB". */
export function roughSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const amount = bytes / (sizeUnits.get(unit) ?? 1)
    if (amount >= 1) return `${amount.toFixed(1)} ${unit}`
  }
  return `${Math.round(bytes)} B`
}

/** For a person to read, rounded up: "2m 5s". */
export function roughDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`
}
