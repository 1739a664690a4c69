import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../server-stub/parts.ts'
import type { Flight } from './flight.ts'
import { Program, programFile } from './program.ts'
import { LineWriter, RotatedLog, watchOnly, type RotationMode } from './rotation.ts'
import { accountFor, type LineAccount } from './rotation-account.ts'
import { storedStreams } from './sortie-streams.ts'
import type { ProvenSize } from './told-sizes.ts'

export interface RotationPlan {
  readonly modes: readonly RotationMode[]
  /** On another file system, for the mode that moves its archives there. */
  readonly aside: string
  /** Each log is rotated so often, one after the other. */
  readonly rounds: number
  readonly pauseMs: number
  /** Of each writer. */
  readonly linesPerTick: number
}

export interface Rotated {
  readonly mode: RotationMode
  readonly account: LineAccount
  readonly bytes: number
  readonly rotations: number
  /** The rotated files on the disk. */
  readonly archives: number
  /** The most links that any of its files had at any time. */
  readonly links: number
}

/** For a flight: chunks as a drone has them. Small ones would make reading wait for the disk as it never does there. */
export const rotationSettings = { chunks: { maxBytes: '1MiB', maxAge: '1s' } }

/**
 * What is truncated before the agent had its turn on a processor is gone unseen: it goes first where root runs this; `nice`
 * runs any other one as it is. It tells what it can know of each file.
 */
function agentCommand({ configFile, logs, folder }: Flight): string[] {
  const program = programFile('test/kit/telling-agent.ts')
  return [process.execPath, program, configFile, logs, join(folder, toldFile)]
}

/** Where the agent tells what it can know. */
const toldFile = 'told.json'

async function toldSizes(flight: Flight): Promise<ProvenSize[]> {
  await flight.stopAgent()
  return JSON.parse(await readFile(join(flight.folder, toldFile), 'utf8')) as ProvenSize[]
}

const tickMs = 5

/** A writer for each log, which the real logrotate rotates meanwhile; then everything lands, and each line is looked for. */
export async function flyRotations(flight: Flight, plan: RotationPlan): Promise<readonly Rotated[]> {
  const logs = await Promise.all(plan.modes.map((mode) => RotatedLog.make(mode, flight.logs, plan.aside)))
  await watchOnly(flight.configFile, logs)
  await flight.launch(Program.spawn('nice', ['-n', '-19', ...agentCommand(flight)]))
  using writers = new Writers(logs, plan.linesPerTick)
  for (let round = 0; round < plan.rounds; round++) {
    for (const log of logs) {
      await sleep(plan.pauseMs)
      await log.rotate()
    }
  }
  await writers.stop()
  await flight.land()
  const told = await toldSizes(flight)
  await using store = await openStore(flight.data)
  const streams = await storedStreams(store, flight.device, flight.logs)
  return await Promise.all(
    writers.all.map(async ({ log, writer, links }): Promise<Rotated> => {
      const archives = (await log.archives()).length
      const account = await accountFor(log, writer, streams, told)
      return {
        mode: log.mode,
        account,
        bytes: writer.bytes,
        rotations: log.rotations,
        archives,
        links,
      }
    }),
  )
}

interface Writing {
  readonly log: RotatedLog
  readonly writer: LineWriter
  links: number
}

/** All of them write, until they are stopped. */
class Writers implements Disposable {
  readonly all: readonly Writing[]
  readonly #landed = new AbortController()
  readonly #ended: Promise<unknown>

  constructor(logs: readonly RotatedLog[], linesPerTick: number) {
    this.all = logs.map((log) => ({ log, writer: new LineWriter(log), links: 0 }))
    this.#ended = Promise.all(this.all.map((writing) => this.#write(writing, linesPerTick)))
  }

  async #write(writing: Writing, linesPerTick: number): Promise<void> {
    while (!this.#landed.signal.aborted) {
      await writing.writer.write(linesPerTick, () => sleep(tickMs / 2))
      await sleep(tickMs / 2)
      writing.links = Math.max(writing.links, ...(await writing.log.links()))
    }
  }

  async stop(): Promise<void> {
    this.#landed.abort()
    await this.#ended
  }

  [Symbol.dispose](): void {
    this.#landed.abort()
    for (const { writer } of this.all) writer[Symbol.dispose]()
  }
}
