import { dirname } from 'node:path'
import type { ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { parseStreamId, type DeviceId, type StreamId } from '../../protocol/ids.ts'
import { Fault } from '../../protocol/fault.ts'
import { agentFault } from '../faults.ts'
import type { World } from '../world.ts'
import {
  decodeAside,
  decodeEntry,
  decodeHead,
  keys,
  lanePrefixes,
  noteKey,
  segmentKey,
  type IndexEntry,
  type StoredHead,
} from './index-entry.ts'
import { allUnder, del, put, type IndexStore } from './index-store.ts'
import { Ledger } from './ledger.ts'
import { openIndex } from './open-index.ts'
import { rememberedEpoch } from './epoch.ts'
import { noteHighWater, provenHead } from './high-water.ts'
import { ownKeys } from './own-keys.ts'
import { decodeResumePoint, type ResumePoint } from './resume-point.ts'
import { bytesInFiles } from './find-bytes.ts'
import { findHoles, type Hole } from './find-holes.ts'
import { lanes } from './lane.ts'
import { firstLookIsDue } from './notes.ts'
import { LongestRanges } from './longest-ranges.ts'
import type { FindBytes } from './record-reader.ts'
import { removeHalfWritten } from './replace-file.ts'
import { Reserve } from './reserve.ts'
import { SetAside } from './set-aside.ts'
import { SegmentLog } from './segment-log.ts'
import { ownerOf, startChain } from './start-chain.ts'
import { surveyIndex, type Survey } from './survey.ts'
import { takeUp, type TakenUp } from './take-up.ts'
import { isWantOfRoom } from './world-refuses.ts'

export interface QueueOptions {
  readonly device: DeviceId
  readonly stateDirectory: string
  /** Of all segments together. */
  readonly maxBytes: number
  /** What stays free on the disk, in bytes. */
  readonly minFree?: number
  /** What is kept for the index on a disk that others fill, in bytes. */
  readonly reserveBytes?: number
  /** `pause`: records wait; `evict`: the oldest of the lowest lane lose their bodies. */
  readonly whenFull?: 'pause' | 'evict'
  /** Finds the bytes of a record that is damaged or was evicted; usually in their file. */
  readonly findBytes?: FindBytes
  /** Such a record waits until `looked` was called, if its bytes are not where they were. */
  readonly isLookComing?: boolean
}

/** What a queue consists of once it was found, or made, on the disk. */
export interface OpenedQueue {
  readonly index: IndexStore
  readonly reserve: Reserve
  readonly segments: SegmentLog
  readonly ledger: Ledger
  readonly longest: LongestRanges
  readonly head: ChainHead
  readonly resumePoints: Map<StreamId, ResumePoint>
  readonly aside: SetAside
  /** Records of which neither index nor segments have anything left. */
  readonly missing: number
  readonly holes: readonly Hole[]
  /** Where a damaged LevelDB was put. */
  readonly movedAside: string | undefined
  readonly disposal: AsyncDisposableStack
}

const largestSegmentBytes = 8 * 1024 * 1024
/** A bound of the queue is kept by unlinking whole segments, so it must be several of them. */
const segmentsInBound = 8

/**
 * Opens the queue in its state folder and takes up again what a crash, or LevelDB, left out of the index. Throws STATE_HELD,
 * STATE_FOREIGN, and QUEUE_UNREADABLE where the disk refuses: a start writes, so it needs some room, or the reserve.
 */
export async function openQueue(options: QueueOptions, signer: Signer, world: World): Promise<OpenedQueue> {
  try {
    return await openWithReserve(options, signer, world)
  } catch (cause) {
    if (cause instanceof Fault || !isOfDisk(cause)) throw cause
    throw agentFault('QUEUE_UNREADABLE', `${options.stateDirectory} does not open`, { cause })
  }
}

async function openWithReserve(options: QueueOptions, signer: Signer, world: World): Promise<OpenedQueue> {
  await world.files.makeDirectory(options.stateDirectory)
  const reserve = await Reserve.find(options.stateDirectory, options.reserveBytes ?? 0, world)
  try {
    return await openFolder(options, signer, world, reserve)
  } catch (cause) {
    if (!isWantOfRoom(cause) || !(await reserve.giveUp())) throw cause
    return openFolder(options, signer, world, reserve)
  }
}

/** Node's own, of a wrong argument, are bugs. */
function isOfDisk(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'ERR_'
  return !code.startsWith('ERR_')
}

async function openFolder(
  options: QueueOptions,
  signer: Signer,
  world: World,
  reserve: Reserve,
): Promise<OpenedQueue> {
  const { stateDirectory } = options
  await using disposal = new AsyncDisposableStack()
  const { index, movedAside } = await openIndex(stateDirectory, world, reserve)
  disposal.use(index)
  await removeHalfWritten(stateDirectory, ['epoch', 'head'], world.files)
  const segmentBytes = Math.min(largestSegmentBytes, Math.ceil(options.maxBytes / segmentsInBound))
  const segments = disposal.use(
    await SegmentLog.open(`${stateDirectory}/segments`, world.files, segmentBytes),
  )
  // The folders' own names must survive a power cut, too.
  await world.files.syncDirectory(stateDirectory)
  await world.files.syncDirectory(dirname(stateDirectory))
  const remembered = await rememberedEpoch(stateDirectory, world.files)
  const stored = await readHead(options, signer, index)
  const proven = await provenHead(stored, stateDirectory, segments, world.files)
  const resumePoints = await readResumePoints(index)
  const survey = await surveyIndex(index, stored, proven, segments.segments)
  for (const segment of survey.seen) segments.numberBehind(segment)
  const own = { ring: ownKeys(options.device, signer), signer }
  const findBytes = options.findBytes ?? bytesInFiles(world.files, resumePoints, { pathOf: () => undefined })
  const found = await takeUp(survey, { index, segments, own, resumePoints, findBytes })
  if (found.isForeign)
    throw agentFault('STATE_FOREIGN', `${stateDirectory} has only records of another device or key`)
  for (const point of found.points) resumePoints.set(point.stream, point)
  const chain = { device: options.device, stateDirectory, signer, index, world }
  // Nothing says that there was an agent before. What this one starts would.
  if (remembered === undefined && !stored && found.newestEpoch === undefined)
    await index.write([put(noteKey('firstLook'), firstLookIsDue)])
  const head = found.head ?? (await startChain(chain, { newestFound: found.newestEpoch }))
  const ledger = new Ledger()
  await countRecords(index, segments, ledger)
  const aside = await readAside(index, segments, ledger)
  await readCounts(index, keys.receipted, (stream, receipted) => ledger.change(stream, { receipted }))
  await readCounts(index, keys.lost, (stream, neverRead) => ledger.change(stream, { neverRead }))
  await readCounts(index, keys.bodiless, (stream, bodiless) => ledger.change(stream, { bodiless }))
  ledger.recallLost(Number((await index.get(keys.lostOfEnded)) ?? 0))
  const lost = Math.max(0, (survey.expected ?? 0) + found.behindHead - ledger.records)
  const missing = lost + Number((await index.get(keys.missing)) ?? 0)
  await writeBaseline(index, survey, found, segments, { records: ledger.records, missing })
  if (found.last) segments.holdLast(found.last.segment)
  // On a full or read-only disk they stay, and go when their room is needed.
  await segments.removeAllDead(() => noteHighWater(stateDirectory, head, world.files)).catch(() => undefined)
  if (missing > 0) world.journal.recordsMissing(missing)
  const holes = missing > 0 ? await findHoles(index, resumePoints) : []
  const parts = { index, reserve, segments, ledger, head, resumePoints, aside, missing, holes, movedAside }
  return { ...parts, longest: new LongestRanges(), disposal: disposal.move() }
}

/** From here on it is counted what comes and goes, and known which segments were looked into. */
async function writeBaseline(
  index: IndexStore,
  { seen }: Survey,
  { unread }: TakenUp,
  segments: SegmentLog,
  { records, missing }: { readonly records: number; readonly missing: number },
): Promise<void> {
  const present = new Set(segments.segments)
  const isSeen = (segment: number): boolean => present.has(segment) && !unread.has(segment)
  // The newest stays, so that its number is not given to another.
  const gone = [...seen].filter((segment) => !isSeen(segment) && segment !== Math.max(...seen))
  await index.write([
    put(keys.added, String(records)),
    put(keys.removed, '0'),
    ...(missing > 0 ? [put(keys.missing, String(missing))] : []),
    ...[...seen].filter(isSeen).map((segment) => put(segmentKey(segment), 'seen')),
    ...gone.map((segment) => del(segmentKey(segment))),
  ])
}

/** The stored head. Records that another device, or another key, has sealed are not this agent's to send or to drop. */
async function readHead(
  options: QueueOptions,
  signer: Signer,
  index: IndexStore,
): Promise<StoredHead | undefined> {
  const text = await index.get(keys.head)
  const owner = (await index.get(keys.owner)) ?? ownerOf(options.device, signer)
  if (owner === ownerOf(options.device, signer)) return decodeHead(options.device, text ?? '')
  const [device, key] = owner.split(' ')
  throw agentFault(
    'STATE_FOREIGN',
    `${options.stateDirectory} is the queue of device ${device} with key id ${key}`,
  )
}

async function countRecords(index: IndexStore, segments: SegmentLog, ledger: Ledger): Promise<void> {
  for (const lane of lanes) {
    for await (const [key, value] of allUnder(index, lanePrefixes[lane])) {
      const entry = decodeEntry(key, value)
      if (entry) count(entry, segments, ledger)
    }
  }
}

function count({ stream, length, extent }: IndexEntry, segments: SegmentLog, ledger: Ledger): void {
  const counted = extent ? { queued: length, recordBytes: extent.length } : { evicted: 1 }
  ledger.change(stream, { records: 1, ...counted })
  if (extent) segments.retain(extent.segment)
}

async function readAside(index: IndexStore, segments: SegmentLog, ledger: Ledger): Promise<SetAside> {
  const aside = new SetAside()
  for await (const [key, value] of allUnder(index, keys.aside)) {
    const entry = decodeAside(key, value)
    if (!entry) continue
    count(entry, segments, ledger)
    aside.add([entry])
  }
  return aside
}

/** The counts of streams that are kept under a prefix. */
async function readCounts(
  index: IndexStore,
  prefix: string,
  count: (stream: StreamId, bytes: number) => void,
): Promise<void> {
  for await (const [key, value] of allUnder(index, prefix)) {
    const stream = parseStreamId(key.slice(prefix.length))
    if (stream) count(stream, Number(value))
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
