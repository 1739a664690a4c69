/** The links of the benchmark: what the air does, how long, what the agent has to carry, and what is wanted. */
import { mulberry32, type Conditions } from '../test/kit/lossy-link-radio.ts'
import type { WeatherStep } from '../test/kit/lossy-link-weather.ts'

export interface Row {
  readonly name: string
  /** Settings of agent.yaml that are not the defaults. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly weather: readonly WeatherStep[]
  readonly seconds: number
  /** How many bytes of records have to wait, so that the link is never idle. */
  readonly recordBytes: number
  /** `lines` are compressed about sevenfold; `noise` not at all. */
  readonly content: 'lines' | 'noise'
  readonly wanted: {
    /** Of the raw stream's goodput. */
    readonly share?: number
    readonly sentTwice?: number
    /** Requests that came to nothing. */
    readonly failures?: number
    /** For a line of high priority while all the rest is of low. */
    readonly highMs?: number
  }
  /** Runs when no other does: it wants the whole machine. */
  readonly isAlone?: boolean
}

const bytesPerSecond = (bitsPerSecond: number): number => bitsPerSecond / 8
const slow: Conditions = { latencyMs: 300, bytesPerSecond: bytesPerSecond(1e6) }
const edge: Conditions = { latencyMs: 500, bytesPerSecond: bytesPerSecond(64e3) }
const fast: Conditions = { latencyMs: 10, bytesPerSecond: bytesPerSecond(100e6) }
const stalling: Conditions = { latencyMs: 100, bytesPerSecond: bytesPerSecond(1e6) }

const small = (maxBytes: string): Row['settings'] => ({ chunks: { maxBytes } })
/** All that the link can carry, and somewhat more. */
const backlog = ({ bytesPerSecond: rate = 0 }: Conditions, seconds: number): number =>
  Math.ceil(rate * seconds * 1.15) + 256 * 1024

export const rowsOf = (isShort: boolean): readonly Row[] => {
  const rows = allRows(isShort)
  return isShort ? rows.map(withoutShares) : rows
}

const allRows = (isShort: boolean): readonly Row[] => [
  steadyRow(isShort ? 12 : 180),
  cutRow(isShort ? [6, 2, 2] : [20, 10, 4]),
  edgeRow(isShort ? [8, 1, 2] : [60, 1, 4]),
  stallRow(
    isShort ? { count: 3, stallMs: 2000, betweenMs: 2000 } : { count: 30, stallMs: 5000, betweenMs: 4000 },
  ),
  highRow(isShort ? 12 : 60, isShort ? 10e6 : 500e6),
  fastRow(isShort ? 3 : 10),
]

/** A few seconds are mostly the start, and a request on its way when they end: what is wanted is wanted of minutes. */
function withoutShares(row: Row): Row {
  const { share: _share, sentTwice: _sentTwice, ...wanted } = row.wanted
  return row.isAlone ? row : { ...row, wanted }
}

function steadyRow(seconds: number): Row {
  return {
    name: '1 Mbit/s, 600 ms round trip',
    settings: {},
    weather: [{ forMs: seconds * 1000, ...slow }],
    seconds,
    recordBytes: backlog(slow, seconds),
    content: 'lines',
    wanted: { share: 0.95 },
  }
}

function cutRow([upSeconds, downSeconds, times]: readonly [number, number, number]): Row {
  return {
    name: `the same, cut every ${upSeconds} s for ${downSeconds} s`,
    settings: small('256KiB'),
    weather: [
      { forMs: upSeconds * 1000, ...slow },
      { forMs: downSeconds * 1000, isCut: true },
    ],
    seconds: (upSeconds + downSeconds) * times,
    recordBytes: backlog(slow, upSeconds * times),
    content: 'lines',
    wanted: { share: 0.88, sentTwice: 0.03 },
  }
}

function edgeRow([upSeconds, downSeconds, times]: readonly [number, number, number]): Row {
  return {
    name: `64 kbit/s, 1 s round trip, cut every ${upSeconds} s`,
    settings: small('64KiB'),
    weather: [
      { forMs: upSeconds * 1000, ...edge },
      { forMs: downSeconds * 1000, isCut: true },
    ],
    seconds: (upSeconds + downSeconds) * times,
    recordBytes: backlog(edge, upSeconds * times),
    content: 'lines',
    wanted: { sentTwice: 0.05 },
  }
}

function fastRow(seconds: number): Row {
  return {
    name: '100 Mbit/s, 20 ms round trip',
    settings: {},
    weather: [{ forMs: seconds * 1000, ...fast }],
    seconds,
    recordBytes: backlog(fast, seconds),
    content: 'noise',
    wanted: { share: 0.9 },
    isAlone: true,
  }
}

interface Stalls {
  readonly count: number
  readonly stallMs: number
  /** On average. */
  readonly betweenMs: number
}

function stallRow({ count, stallMs, betweenMs }: Stalls): Row {
  const chance = mulberry32(30)
  const weather = Array.from({ length: count }, (): WeatherStep[] => [
    { forMs: 200 - Math.log(1 - chance()) * betweenMs, ...stalling },
    { forMs: stallMs, isBlackHole: true, ...stalling },
  ]).flat()
  const seconds = weather.reduce((sum, { forMs }) => sum + forMs, 0) / 1000 + 1
  return {
    name: `${count} stalls of ${stallMs / 1000} s at random`,
    settings: {},
    weather: [...weather, { forMs: 1000, ...stalling }],
    seconds,
    recordBytes: backlog(stalling, seconds - (count * stallMs) / 1000),
    content: 'lines',
    wanted: { failures: 0 },
  }
}

function highRow(seconds: number, recordBytes: number): Row {
  const { latencyMs = 0 } = slow
  return {
    name: `a line of high priority before ${recordBytes / 1e6} MB of low`,
    settings: { chunks: { maxAge: '10ms' }, queue: { maxBytes: '4GiB' } },
    weather: [{ forMs: seconds * 1000, ...slow }],
    seconds,
    recordBytes,
    content: 'noise',
    wanted: { highMs: 3 * 2 * latencyMs },
  }
}
