/**
 * `npm run bench:link`: what of a bad link arrives as receipts, beside what one raw TCP stream gets through the same link in
 * the same run. Figures are printed and not judged; the status is about what must hold: everything receipted,
 * nothing stored twice, `verify` clean, nothing given up that still moved, and no more sent twice than cuts cost.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { LossyLink } from '../test/kit/lossy-link.ts'
import { playWeather } from '../test/kit/lossy-link-weather.ts'
import { BenchDrone, type Outcome } from './bench-link-drone.ts'
import { brokenBy } from './bench-link-judge.ts'
import { isInNamespace, runInNamespace, showModem } from './bench-link-namespace.ts'
import { RawStream } from './bench-link-raw.ts'
import { rowsOf, type Row } from './bench-link-rows.ts'
import { fromSources, type Program } from './bench-programs.ts'

const help = `npm run bench:link -- [--short] [--only WORDS] [--agent BINARY] [--here]

Measures the agent's sources, or the given binary, on each link. The whole takes about six minutes, --short one.
--only takes the rows whose names hold these words. --here stays in this machine's network, where the kernel's
buffers hide a slow link; without it the benchmark makes one of its own, if it may.`

const { values: options } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    agent: { type: 'string' },
    here: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const program: Program = options.agent === undefined ? fromSources : [options.agent]
const drainMs = 5 * 60_000

interface Measured extends Outcome {
  readonly seconds: number
  readonly rawBytes: number
  /** Of records, while the link was bad. */
  readonly receiptedBytes: number
  /** Towards the server, whatever they were. */
  readonly sentBytes: number
  /** Of these, what was on connections that were cut, and had no answer. */
  readonly unansweredBytes: number
  /** Why attempts came to nothing, each. */
  readonly failures: readonly string[]
  readonly connections: number
  /** The longest time without a receipt. */
  readonly idleSeconds: number
  /** From lines of high priority to their receipts. */
  readonly highMs: readonly number[]
}

type Watched = Pick<Measured, 'receiptedBytes' | 'idleSeconds' | 'highMs'>

/** undefined where this agent cannot do what the row is about; then it has said why. */
async function measure(folder: string, row: Row): Promise<Measured | string> {
  await using drone = await BenchDrone.open(folder, row, program)
  const why = await drone.fill()
  if (why !== undefined) return why
  const watched = await exposed(drone, row)
  const outcome = await drone.land(drainMs)
  const { bytesToServer: sentBytes, unansweredBytes, connections } = drone.link
  const measured = { ...watched, ...outcome, sentBytes, unansweredBytes, connections }
  return { ...measured, wrong: [...outcome.wrong, ...brokenBy(row, measured)] }
}

/** The drone and a raw stream, each on its own link, in the same weather. */
async function exposed(
  drone: BenchDrone,
  row: Row,
): Promise<Watched & Pick<Measured, 'seconds' | 'rawBytes' | 'failures'>> {
  await using raw = await RawStream.open({})
  const said = drone.journal.length
  const over = new AbortController()
  const startMs = performance.now()
  const endMs = startMs + row.seconds * 1000
  const weather = [drone.link, raw.link].map((link) => playOn(link, row, over.signal))
  raw.start()
  await drone.hurry()
  const watched = await watch(drone, row, endMs)
  const seconds = (performance.now() - startMs) / 1000
  const facts = { seconds, rawBytes: raw.link.bytesToServer, failures: drone.failuresSince(said) }
  over.abort()
  await Promise.all(weather)
  return { ...watched, ...facts }
}

function playOn(link: LossyLink, { weather }: Row, signal: AbortSignal): Promise<void> {
  return playWeather(link, { steps: weather, isLooped: true }, ({ isCut }) => showModem(!isCut), signal)
}

async function watch(drone: BenchDrone, row: Row, endMs: number): Promise<Watched> {
  const atFirst = (await drone.status()).queue.bytes
  let [left, sinceMs, idleMs] = [atFirst, performance.now(), 0]
  const highMs: number[] = []
  while (performance.now() < endMs) {
    if (row.wanted.highMs !== undefined) highMs.push(await drone.lineMs(`armed ${highMs.length}\n`))
    await sleep(Math.max(0, Math.min(200, endMs - performance.now())))
    const { bytes } = (await drone.status()).queue
    const nowMs = performance.now()
    idleMs = Math.max(idleMs, nowMs - sinceMs)
    if (bytes < left) sinceMs = nowMs
    left = Math.min(left, bytes)
  }
  return { receiptedBytes: atFirst - left, idleSeconds: idleMs / 1000, highMs }
}

const percent = (share: number | undefined): string =>
  share === undefined ? '' : Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : '-'
const rate = (bytes: number, seconds: number): string => `${(bytes / 1000 / seconds).toFixed(2)} kB/s`
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

const line = (name: string, value: string): void => console.log(`  ${name.padEnd(46)} ${value}`)

function print(row: Row, measured: Measured | string): void {
  const settings = Object.keys(row.settings).length > 0 ? `, with ${JSON.stringify(row.settings)}` : ''
  if (typeof measured === 'string') return console.log(`\n${row.name}: not measured: ${measured}`)
  const { seconds, rawBytes, receiptedBytes, wrong } = measured
  const { share, sentTwice, failures, highMs } = row.wanted
  const beyond = (measured.sentBytes - measured.recordBytes) / receiptedBytes
  console.log(`\n${row.name}, for ${seconds.toFixed(0)} s${settings}`)
  line('one raw TCP stream', rate(rawBytes, seconds))
  line('records receipted', rate(receiptedBytes, seconds))
  line('of the raw stream', `${percent(receiptedBytes / rawBytes)}${wantedText('at least', percent(share))}`)
  line(
    'sent twice, and all that is no record',
    `${percent(beyond)}${wantedText('under', percent(sentTwice))}`,
  )
  line('longest time without a receipt', `${measured.idleSeconds.toFixed(1)} s`)
  const none = failures === undefined ? '' : ` (wanted: ${failures} failed)`
  line('attempts that failed, connections', `${measured.failures.length}, ${measured.connections}${none}`)
  for (const why of new Set(measured.failures)) line('  of these', why)
  if (highMs !== undefined) {
    const worst = Math.max(...measured.highMs)
    line(
      `a line of high priority, median and worst of ${measured.highMs.length}`,
      `${median(measured.highMs).toFixed(0)} ms, ${worst.toFixed(0)} ms (wanted: within ${highMs} ms)`,
    )
  }
  for (const problem of wrong) line('WRONG', problem)
}

const wantedText = (how: string, figure: string): string =>
  figure === '' ? '' : ` (wanted: ${how} ${figure})`

async function bench(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'logbox-bench-link-'))
  let wrong = 0
  const one = async (row: Row, index: number): Promise<void> => {
    const measured = await measure(join(folder, String(index)), row)
    print(row, measured)
    if (typeof measured !== 'string') wrong += measured.wrong.length
  }
  try {
    const rows = rowsOf(options.short).filter(({ name }) => name.includes(options.only))
    const [alone, together] = [rows.filter(({ isAlone }) => isAlone), rows.filter(({ isAlone }) => !isAlone)]
    // The slow ones have hardly any work: they wait for their links side by side.
    await Promise.all(together.map((row, index) => one(row, index)))
    for (const [index, row] of alone.entries()) await one(row, together.length + index)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const buffers = isInNamespace ? 'small, in a network of its own' : "this machine's, which hide a slow link"
  console.log(
    `\nkernel buffers: ${buffers}\n${wrong === 0 ? 'nothing lost, nothing twice, nothing given up that moved' : `${wrong} WRONG`}`,
  )
  return wrong === 0 ? 0 : 1
}

if (options.help) console.log(help)
else {
  const status = options.here || isInNamespace ? undefined : await runInNamespace()
  process.exitCode = status ?? (await bench())
}
