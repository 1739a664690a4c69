import { dirname } from 'node:path'
import { newChain, type ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, parseStreamId, type DeviceId, type Epoch, type StreamId } from '../../protocol/ids.ts'
import { agentFault } from '../faults.ts'
import type { World } from '../world.ts'
import { newEpoch } from './epoch.ts'
import {
  decodeAside,
  decodeEntry,
  decodeHead,
  encodeHead,
  keys,
  type AsideEntry,
  type IndexEntry,
} from './index-entry.ts'
import { allUnder, IndexStore, put } from './index-store.ts'
import { Ledger } from './ledger.ts'
import { ownKeys } from './own-keys.ts'
import { decodeResumePoint, type ResumePoint } from './resume-point.ts'
import { SegmentLog } from './segment-log.ts'
import { takeUp } from './take-up.ts'

export interface QueueOptions {
  readonly device: DeviceId
  readonly stateDirectory: string
  /** Of all segments together. */
  readonly maxBytes: number
}

/** What a queue consists of once it was found, or made, on the disk. */
export interface OpenedQueue {
  readonly index: IndexStore
  readonly segments: SegmentLog
  readonly ledger: Ledger
  readonly head: ChainHead
  readonly resumePoints: Map<StreamId, ResumePoint>
  readonly aside: AsideEntry[]
  readonly disposal: AsyncDisposableStack
}

const largestSegmentBytes = 8 * 1024 * 1024
/** A bound of the queue is kept by unlinking whole segments, so it must be several of them. */
const segmentsInBound = 8

/** Opens the queue in its state folder and takes up again what a crash, or LevelDB, left out of the index. */
export async function openQueue(options: QueueOptions, signer: Signer, world: World): Promise<OpenedQueue> {
  await world.files.makeDirectory(options.stateDirectory)
  await using disposal = new AsyncDisposableStack()
  const index = disposal.use(await openIndex(options.stateDirectory, world))
  const segmentBytes = Math.min(largestSegmentBytes, Math.ceil(options.maxBytes / segmentsInBound))
  const segments = disposal.use(
    await SegmentLog.open(`${options.stateDirectory}/segments`, world.files, segmentBytes),
  )
  // The folders' own names must survive a power cut, too.
  await world.files.syncDirectory(options.stateDirectory)
  await world.files.syncDirectory(dirname(options.stateDirectory))
  const stored = await readHead(options, signer, index)
  const resumePoints = await readResumePoints(index)
  const own = ownKeys(options.device, signer)
  const { head: found, newestEpoch, isForeign } = await takeUp(index, segments, stored, resumePoints, own)
  if (isForeign)
    throw agentFault('STATE_FOREIGN', `${options.stateDirectory} has only records of another device or key`)
  const head = found ?? (await startChain(options, signer, index, world, newestEpoch))
  const ledger = new Ledger()
  await countRecords(index, segments, ledger)
  const aside = await readAside(index, segments, ledger)
  await readReceipted(index, ledger)
  await readLost(index, ledger)
  await segments.removeDead(true)
  return { index, segments, ledger, head, resumePoints, aside, disposal: disposal.move() }
}

async function openIndex(stateDirectory: string, world: World): Promise<IndexStore> {
  const holderFile = `${stateDirectory}/holder`
  try {
    const store = await IndexStore.open(() => world.openIndex(`${stateDirectory}/queue`))
    await writeHolder(holderFile, world)
    return store
  } catch (cause) {
    if (!isLocked(cause))
      throw agentFault('QUEUE_UNREADABLE', `${stateDirectory}/queue does not open`, { cause })
    const holder = Buffer.from((await world.files.readWhole(holderFile)) ?? []).toString()
    const who = /^\d+\n$/.test(holder) ? `process ${holder.trim()}` : 'another process'
    throw agentFault('STATE_HELD', `${stateDirectory} is in use by ${who}`, { cause })
  }
}

/** LevelDB's lock is what counts; this only says to a person whose it is, and a full disk may keep it from that. */
async function writeHolder(path: string, world: World): Promise<void> {
  await world.files.remove(path).catch(() => undefined)
  await writeProcessId(path, world).catch(() => undefined)
}

async function writeProcessId(path: string, world: World): Promise<void> {
  await using file = await world.files.create(path)
  await file.write([Buffer.from(`${world.processId}\n`)], 0)
}

function isLocked(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  return ('code' in cause && cause.code === 'LEVEL_LOCKED') || isLocked(cause.cause)
}

/** The stored head. Records that another device, or another key, has sealed are not this agent's to send or to drop. */
async function readHead(
  options: QueueOptions,
  signer: Signer,
  index: IndexStore,
): Promise<ChainHead | undefined> {
  const text = await index.get(keys.head)
  const owner = (await index.get(keys.owner)) ?? ownerOf(options.device, signer)
  if (owner === ownerOf(options.device, signer)) return decodeHead(options.device, text ?? '')
  const [device, key] = owner.split(' ')
  throw agentFault(
    'STATE_FOREIGN',
    `${options.stateDirectory} is the queue of device ${device} with key id ${key}`,
  )
}

function ownerOf(device: DeviceId, signer: Signer): string {
  return `${device} ${base64url(signer.publicKey.id)}`
}

async function startChain(
  options: QueueOptions,
  signer: Signer,
  index: IndexStore,
  world: World,
  newestEpoch: Epoch | undefined,
): Promise<ChainHead> {
  const head = newChain(options.device, await newEpoch(options.stateDirectory, world, newestEpoch))
  await index.write([put(keys.owner, ownerOf(options.device, signer)), put(keys.head, encodeHead(head))])
  return head
}

async function countRecords(index: IndexStore, segments: SegmentLog, ledger: Ledger): Promise<void> {
  for await (const [key, value] of allUnder(index, keys.records)) {
    const entry = decodeEntry(key, value)
    if (entry) count(entry, segments, ledger)
  }
}

function count({ stream, length, extent }: IndexEntry, segments: SegmentLog, ledger: Ledger): void {
  ledger.queued(stream, length, extent.length)
  segments.retain(extent.segment)
}

async function readAside(index: IndexStore, segments: SegmentLog, ledger: Ledger): Promise<AsideEntry[]> {
  const aside: AsideEntry[] = []
  for await (const [key, value] of allUnder(index, keys.aside)) {
    const entry = decodeAside(key, value)
    if (!entry) continue
    count(entry, segments, ledger)
    aside.push(entry)
  }
  return aside
}

async function readReceipted(index: IndexStore, ledger: Ledger): Promise<void> {
  for await (const [key, value] of allUnder(index, keys.receipted)) {
    const stream = parseStreamId(key.slice(keys.receipted.length))
    if (stream) ledger.setReceipted(stream, Number(value))
  }
}

async function readLost(index: IndexStore, ledger: Ledger): Promise<void> {
  for await (const [key, value] of allUnder(index, keys.lost)) {
    const stream = parseStreamId(key.slice(keys.lost.length))
    if (stream) ledger.setLost(stream, Number(value))
  }
}

async function readResumePoints(index: IndexStore): Promise<Map<StreamId, ResumePoint>> {
  const points = new Map<StreamId, ResumePoint>()
  for await (const [, value] of allUnder(index, keys.resumePoints)) {
    const point = decodeResumePoint(value)
    if (point) points.set(point.stream, point)
  }
  return points
}
