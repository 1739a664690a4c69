/** `npm run demo [-- FILE...]`: the promise of README.md, kept before your eyes. Exit status 0: all of it was proven. */
import { copyFile, mkdir, mkdtempDisposable } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StatusReport } from '../agent/control/report.ts'
import { roughSize } from '../agent/units.ts'
import { Fault, faultLine } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { openLossyLink, type LossyLink } from '../test/kit/lossy-link.ts'
import { device, Drone } from './demo-drone.ts'
import { Flight } from './demo-flight.ts'
import { readOptions, usage, type DemoOptions, type Extra } from './demo-options.ts'
import { ask, contentFrom, Daemon, run, show } from './demo-programs.ts'
import { compare, flipByteOf, isSame, storedRanges, type Comparison } from './demo-proof.ts'
import { count, Stage } from './demo-stage.ts'

const verifyFoundDamage = 74
const catIsNotWhole = 75
/** Time to see that flush waits. */
const untilLinkMs = 1200

/** All that is on the stage. */
interface Scene {
  readonly options: DemoOptions
  readonly stage: Stage
  readonly signal: AbortSignal
  readonly store: string
  readonly watched: string
  readonly server: Daemon
  readonly link: LossyLink
  readonly drone: Drone
}

async function perform(options: DemoOptions, stage: Stage, signal: AbortSignal): Promise<void> {
  await using folder = await mkdtempDisposable(join(shortTemporaryFolder(), 'logbox-demo-'))
  const [store, watched] = [join(folder.path, 'store'), join(folder.path, 'logs')]
  await mkdir(watched)
  stage.title('Logbox: a flight log crosses a broken link and comes back byte for byte')
  stage.say(`Everything happens in ${folder.path}, which is removed at the end.`)

  stage.step(
    'The server starts on the ground, and learns the public key of the drone',
    'It takes in only what a drone that it knows has signed.',
  )
  const serve = ['serve', '--data', store, '--port', '0']
  await using server = await Daemon.start(options.server, serve, join(folder.path, 'server.journal'))
  const { listening, publicKey: receiptKey } = JSON.parse(await server.firstLine())
  const air = airFor(options.files)
  await using link = await openLossyLink({ port: Number(new URL(listening).port), ...air })
  const url = `http://127.0.0.1:${link.port}`
  const requestMaxBytes = requestBytesFor(options.files)
  const place = { agent: options.agent, folder: folder.path, watched, url, receiptKey, requestMaxBytes }
  await using drone = await Drone.make(place, signal)
  await ask(options.server, ['device', 'add', device, '--key', drone.publicKey, '--data', store], signal)
  stage.fact('server', `process ${server.pid}, ${listening}, receipt key ${receiptKey}`)
  stage.fact('link', `${roughSize(air.bytesPerSecond)}/s, ${2 * air.latencyMs} ms there and back`)
  stage.fact('drone', `${device}, public key ${drone.publicKey}`)

  const scene: Scene = { options, stage, signal, store, watched, server, link, drone }
  await using flight = await departure(scene)
  await linkIsCut(scene)
  await powerIsCut(scene)
  await arrival(scene, flight)
  await comparison(scene)
  await audit(scene)
  await sabotage(scene)
}

async function departure({ stage, drone, watched }: Scene): Promise<Flight> {
  stage.step(
    'The agent starts on the drone, and the drone takes off',
    'The log goes down while it is being written: it is safe even if the drone never lands.',
  )
  await drone.start()
  const flight = new Flight(join(watched, 'flight.log'))
  const { totals } = await drone.until((status) => status.totals.receiptedBytes > 0)
  stage.fact('flight', `${roughSize(totals.size)} written, ${roughSize(totals.receiptedBytes)} have receipts`)
  return flight
}

async function linkIsCut({ options, stage, drone, link, watched, signal }: Scene): Promise<void> {
  stage.step(
    'The link breaks: the drone is behind a hill. More to ship appears',
    'What waits is signed and synced to the disk, and leaves it only on a receipt of the server.',
  )
  link.cut()
  for (const { source, bytes, name } of options.files) {
    await copyFile(source, join(watched, name))
    stage.fact('file', `${source}, ${roughSize(bytes)}, is put beside the flight log`)
  }
  for (let look = 0; look < 3; look++) {
    await sleep(500, undefined, { signal })
    tellQueue(stage, await drone.until(() => true))
  }
}

async function powerIsCut({ stage, drone, signal }: Scene): Promise<void> {
  stage.step(
    'The agent is killed with SIGKILL, as by a power cut, and started again',
    'Queue and resume points are on the disk: what waited waits, and reading goes on where it was safe.',
  )
  const before = await drone.until(({ link }) => link.is === 'waiting')
  await drone.kill()
  await sleep(500, undefined, { signal })
  const after = await drone.start()
  tellQueue(stage, after)
  stage.check(
    after.queue.records >= before.queue.records && after.totals.queuedBytes >= before.totals.queuedBytes,
    `all ${before.queue.records} chunks that waited before are still there`,
  )
}

function tellQueue(stage: Stage, { queue, totals, link }: StatusReport): void {
  const bar = '#'.repeat(Math.min(20, Math.ceil(queue.records / 2))).padEnd(20, '.')
  const why = link.is === 'waiting' ? 'no link' : link.is
  stage.fact('queue', `${bar} ${queue.records} chunks wait, ${roughSize(totals.queuedBytes)} of log; ${why}`)
}

async function arrival({ options, stage, drone, link, signal }: Scene, flight: Flight): Promise<void> {
  stage.step(
    'The drone lands, its technician calls flush, and then the link comes back',
    'Exit status 0 of flush means: the server has signed for every byte, safe to power off.',
  )
  await flight.land()
  const flushing = show(options.agent, ['flush', '--config', drone.config, '--timeout', '10m'], signal)
  const returning = sleep(untilLinkMs, undefined, { signal }).then(() => link.restore())
  const [flushed] = await Promise.all([flushing, returning])
  stage.check(flushed === 0, `flush ended with status ${flushed}`)
  const { queue } = await drone.until(() => true)
  stage.check(queue.records === 0, `${queue.records} chunks wait on the drone`)
}

async function comparison({ options, stage, store, watched, signal }: Scene): Promise<void> {
  stage.step(
    'Each file on the drone, and the same file as the server gives it back',
    'Lengths and hashes are of the whole files; what is missing or twice is counted in the stored records.',
  )
  const comparisons: Comparison[] = []
  for (const name of ['flight.log', ...options.files.map((file) => file.name)]) {
    comparisons.push(await compare(join(watched, name), store, options.server, signal))
  }
  const head = ['file', 'bytes on drone', 'on server', 'sha256 on drone', 'on server']
  stage.table([head, ...comparisons.map(rowOf)])
  for (const one of comparisons) {
    const { missing, twice } = one
    const holds = isSame(one) && missing === 0 && twice === 0
    stage.check(
      holds,
      `${nameOf(one)}: ${isSame(one) ? 'equal' : 'NOT EQUAL'}, ${missing} missing, ${twice} twice`,
    )
  }
}

function nameOf({ path }: Comparison): string {
  return showText(basename(path))
}

function rowOf(one: Comparison): string[] {
  const { onDrone, onServer } = one
  const bytes = [onDrone, onServer].map((content) => count(content.bytes))
  const hashes = [onDrone, onServer].map((content) => `${content.sha256.slice(0, 16)}..`)
  return [nameOf(one), ...bytes, ...hashes]
}

async function audit({ options, stage, drone, server, store, signal }: Scene): Promise<void> {
  stage.step(
    "Both programs are stopped, and the server's store is verified",
    'An auditor trusts neither disk nor database: every signature, hash and chain is checked again.',
  )
  const stopped = [await drone.stop(), await server.stop('SIGTERM')]
  stage.check(
    stopped.every((status) => status === 0),
    `agent and server ended with status ${stopped.join(' and ')}`,
  )
  const { status, stdout } = await run(options.server, ['verify', '--data', store], signal)
  sayLines(stage, stdout)
  stage.check(status === 0, `verify ended with status ${status}`)
}

function sayLines(stage: Stage, text: string): void {
  for (const line of text.trim().split('\n')) stage.say(showText(line))
}

async function sabotage({ options, stage, store, signal }: Scene): Promise<void> {
  stage.step(
    'One byte in the middle of a stored record is changed',
    'A log is evidence only if a change to it cannot go unnoticed.',
  )
  const [record] = (await storedRanges(store)).toSorted((a, b) => b.recordBytes - a.recordBytes)
  if (!record) throw new Error('there is no record to damage')
  const position = await flipByteOf(record)
  const blob = relative(store, record.blob)
  stage.fact('damage', `byte ${count(position)} of ${blob}`)
  const verify = ['verify', '--data', store]
  const [damaged, cat] = await Promise.all([
    run(options.server, verify, signal),
    contentFrom(options.server, ['cat', device, record.path, '--data', store], signal),
  ])
  sayLines(stage, damaged.stdout)
  stage.check(
    damaged.status === verifyFoundDamage && damaged.stdout.includes(blob),
    `verify ended with status ${damaged.status} and names the record`,
  )
  stage.check(
    cat.status === catIsNotWhole,
    `cat ended with status ${cat.status}: it does not give the changed bytes`,
  )
  await flipByteOf(record)
  const mended = await run(options.server, verify, signal)
  stage.check(mended.status === 0, `changed back, verify ends with status ${mended.status}`)
}

/** A unix socket's path has room for 107 bytes. */
function shortTemporaryFolder(): string {
  return Buffer.byteLength(tmpdir()) < 60 ? tmpdir() : '/tmp'
}

/** A link on which the files take a few seconds, so that there is something to see. */
function airFor(files: readonly Extra[]): { readonly latencyMs: number; readonly bytesPerSecond: number } {
  return { latencyMs: 30, bytesPerSecond: Math.max(128 * 1024, Math.round(bytesOf(files) / 3)) }
}

function requestBytesFor(files: readonly Extra[]): number {
  return Math.min(4 * 1024 * 1024, Math.max(64 * 1024, Math.round(bytesOf(files) / 32)))
}

function bytesOf(files: readonly Extra[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}

async function main(signal: AbortSignal): Promise<number> {
  const stage = new Stage()
  try {
    const options = await readOptions(process.argv.slice(2))
    if (!options) {
      process.stdout.write(usage)
      return 0
    }
    await perform(options, stage, signal)
  } catch (error) {
    return tellFailure(error, signal)
  }
  const checks = `${stage.checks - stage.failed} of ${stage.checks} checks hold`
  const verdict = stage.failed === 0 ? 'Proven' : 'NOT PROVEN'
  stage.say('')
  stage.title(`${verdict}: ${checks}, after ${stage.seconds.toFixed(1)} s. Nothing was left behind.`)
  return stage.failed === 0 ? 0 : 1
}

function tellFailure(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) {
    process.stderr.write('\ndemo: stopped, nothing was left behind\n')
    return 128 + Number(signal.reason)
  }
  const says = error instanceof Fault ? faultLine(error) : String(error)
  process.stderr.write(`demo: ${says}\n`)
  return error instanceof Fault ? error.kind.exit : 1
}

const stopping = new AbortController()
const { SIGINT, SIGTERM, SIGHUP, SIGPIPE } = constants.signals
for (const [name, number] of Object.entries({ SIGINT, SIGTERM, SIGHUP })) {
  process.on(name, () => stopping.abort(number))
}
// A reader that has gone, such as `head`, ends the demo; it does not leave processes behind.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stopping.abort(SIGPIPE))
process.exitCode = await main(stopping.signal)
