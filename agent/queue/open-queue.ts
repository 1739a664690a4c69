import { dirname } from 'node:path'
import { newChain, type ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { parseStreamId, type DeviceId, type StreamId } from '../../protocol/ids.ts'
import { scanRecord, recordOpening } from '../../protocol/record.ts'
import { checkRecord, type CheckedRecord, type KeyRing } from '../../protocol/verify.ts'
import { agentFault } from '../faults.ts'
import type { World } from '../world.ts'
import { newEpoch } from './epoch.ts'
import {
  decodeAside,
  decodeEntry,
  decodeHead,
  encodeEntry,
  encodeHead,
  keys,
  placeText,
  recordKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { allUnder, IndexStore, put } from './index-store.ts'
import { Ledger } from './ledger.ts'
import { ownKeys } from './own-keys.ts'
import { decodeResumePoint, type ResumePoint } from './resume-point.ts'
import { SegmentLog } from './segment-log.ts'

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
  const storedHead = decodeHead(options.device, (await index.get(keys.head)) ?? '')
  await takeUp(index, segments, storedHead, ownKeys(options.device, signer))
  const head = storedHead ?? (await startChain(options, index, world))
  const ledger = new Ledger()
  await countRecords(index, segments, ledger)
  const aside = await readAside(index, segments, ledger)
  await readReceipted(index, ledger)
  const resumePoints = await readResumePoints(index)
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

async function startChain(options: QueueOptions, index: IndexStore, world: World): Promise<ChainHead> {
  const epoch = await newEpoch(options.stateDirectory, world.files, world.clock, world.chance)
  const head = newChain(options.device, epoch)
  await index.write([put(keys.head, encodeHead(head))])
  return head
}

/**
 * LevelDB can lose entries without an error. Every record in the segments that is this device's own, has no receipt as
 * far as the index knows, and is not in the index, is put back there. One that had its receipt all the same is sent
 * again and answered "duplicate": nothing is lost and nothing is stored twice.
 */
async function takeUp(
  index: IndexStore,
  segments: SegmentLog,
  head: ChainHead | undefined,
  own: KeyRing,
): Promise<void> {
  const acknowledged = (await index.get(keys.acknowledged)) ?? ''
  if (head && (await countKnown(index)) === placesWithoutReceipt(head, acknowledged)) return
  const known = new Set<string>()
  for await (const place of knownPlaces(index)) known.add(place)
  for (const segment of segments.segments) {
    const found = ownRecords(await segments.readWhole(segment), segment, own)
    const lost = found.filter((entry) => {
      const place = placeText(entry)
      return isPromised(entry, head) && place >= acknowledged && !known.has(place)
    })
    if (lost.length > 0) await index.write(lost.map((entry) => put(recordKey(entry), encodeEntry(entry))))
  }
}

/** What comes after the head was never promised: its bytes are still to be read from their file. */
function isPromised({ epoch, seq }: Place, head: ChainHead | undefined): boolean {
  return !head || epoch !== head.epoch || seq < head.next
}

async function* knownPlaces(index: IndexStore): AsyncGenerator<string> {
  for (const prefix of [keys.records, keys.aside]) {
    for await (const [key] of allUnder(index, prefix)) yield key.slice(prefix.length)
  }
}

async function countKnown(index: IndexStore): Promise<number> {
  let count = 0
  for await (const _ of knownPlaces(index)) count++
  return count
}

/** How many records the index must know, if no receipt skipped one; -1 where that cannot be said. */
function placesWithoutReceipt(head: ChainHead, acknowledged: string): number {
  const [epoch, seq] = acknowledged === '' ? [head.epoch, 0] : acknowledged.split('/').map(Number)
  return epoch === head.epoch && seq !== undefined ? head.next - seq : -1
}

function ownRecords(bytes: Uint8Array, segment: number, own: KeyRing): IndexEntry[] {
  const found: IndexEntry[] = []
  for (let start = nextOpening(bytes, 0); start >= 0;) {
    const scan = scanRecord(bytes, start)
    const checked = scan.is === 'whole' ? checkRecord(scan.frame, own) : undefined
    if (scan.is === 'whole' && checked?.ok) {
      found.push(entryOf(checked.value, { segment, offset: start, length: scan.end - start }))
    }
    start = nextOpening(bytes, scan.is === 'whole' && checked?.ok ? scan.end : start + 1)
  }
  return found
}

function nextOpening(bytes: Uint8Array, from: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(recordOpening, from)
}

function entryOf({ manifest, digest }: CheckedRecord, extent: IndexEntry['extent']): IndexEntry {
  const { epoch, seq, stream } = manifest
  return { epoch, seq, stream, digest, extent, length: manifest.kind === 'data' ? manifest.length : 0 }
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

async function readResumePoints(index: IndexStore): Promise<Map<StreamId, ResumePoint>> {
  const points = new Map<StreamId, ResumePoint>()
  for await (const [, value] of allUnder(index, keys.resumePoints)) {
    const point = decodeResumePoint(value)
    if (point) points.set(point.stream, point)
  }
  return points
}
