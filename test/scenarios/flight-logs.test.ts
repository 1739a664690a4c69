import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Catalog } from '../../server-stub/catalog/catalog.ts'
import { openStore } from '../../server-stub/parts.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { Flight } from '../kit/flight.ts'
import { randomMoment } from '../kit/kill-rounds.ts'
import { chooseSeed, withSeed, type Seeded } from '../kit/seeded.ts'
import { lacksSharedData, sharedBytes, sharedFolder } from '../kit/shared-data.ts'
import { storedStreams, type StoredStream } from '../kit/sortie-streams.ts'

const kills = 5

interface Log {
  readonly name: string
  readonly bytes: Uint8Array
}

/** ULog, dataflash, telemetry and bags, as real flights left them. */
function realLogs(): Log[] {
  const folder = fileURLToPath(new URL('binary/', sharedFolder))
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.[^/]+$/.test(path),
  )
  return paths.map((path) => ({ name: path.replaceAll('/', ' '), bytes: sharedBytes(`binary/${path}`) }))
}

/** Appends the log in pieces of odd sizes. */
async function writeInPieces(flight: Flight, { name, bytes }: Log, chance: Seeded): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + chance.below(chance.below(3) === 0 ? 100_000 : 5000)
    await flight.append(name, bytes.subarray(at, end))
    at = end
    await sleep(chance.below(8))
  }
}

async function watchAsBinary(flight: Flight): Promise<void> {
  const config = JSON.parse(await readFile(flight.configFile, 'utf8')) as object
  const sources = [{ paths: [flight.path('*')], exclude: [], format: 'binary', closeAfter: '1s' }]
  await writeFile(flight.configFile, JSON.stringify({ ...config, sources }))
}

/** What the server has, once as many streams as there are logs are closed there, each with the length of one. */
async function closedStreams(flight: Flight, logs: readonly Log[]): Promise<readonly StoredStream[]> {
  await using store = await openStore(flight.data)
  const expected = logs.map(({ bytes }) => bytes.length).toSorted((a, b) => a - b)
  while (String(expected) !== String(await closedLengths(store.catalog, flight))) await sleep(50)
  return await storedStreams(store, flight.device, flight.logs)
}

async function closedLengths(catalog: Catalog, { device }: Flight): Promise<number[]> {
  const lengths = new Map<string, number>()
  for await (const { stream, kind, length } of catalog.recordsOf(device)) {
    if (kind === 'close') lengths.set(stream, length ?? 0)
    else lengths.delete(stream)
  }
  return [...lengths.values()].toSorted((a, b) => a - b)
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const factsOf = ({ path, bytes, close, whole, twice }: StoredStream) =>
  [path, { sha256: hashOf(bytes), closed: close?.sha256, whole, twice }] as const

test.skipIf(lacksSharedData)(
  'real flight logs, shipped while they are written by an agent that is killed again and again, are whole at the end',
  async () => {
    await withSeed(chooseSeed(), async (chance) => {
      await using flight = await Flight.start()
      await watchAsBinary(flight)
      const logs = realLogs().filter(({ bytes }) => bytes.length > 0)
      expect(logs.length).toBeGreaterThan(15)
      const writing = Promise.all(logs.map((log) => writeInPieces(flight, log, chance)))
      for (let kill = 0; kill < kills; kill++) {
        await flight.startAgent()
        await randomMoment(flight, chance)
        await flight.killAgent()
      }
      await writing
      await flight.startAgent()
      await flight.land()
      const streams = await closedStreams(flight, logs)
      const expected = logs.map(({ name, bytes }) => {
        const sha256 = hashOf(bytes)
        return [name, { sha256, closed: sha256, whole: true, twice: [] }]
      })
      expect(streams).toHaveLength(logs.length)
      expect(Object.fromEntries(streams.map(factsOf))).toEqual(Object.fromEntries(expected))
      await using store = await openStore(flight.data)
      expect(await Array.fromAsync(new Audit(store).findings())).toEqual([])
    })
  },
)
