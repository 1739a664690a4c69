import { continues, headAfter, type ChainHead } from '../../protocol/chain.ts'
import type { ByteOffset, Epoch } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import {
  beganKey,
  encodeEntry,
  encodeHead,
  keys,
  lanePrefixes,
  placeText,
  recordKey,
  resumeKey,
  segmentKey,
  type Place,
} from './index-entry.ts'
import { allUnder, del, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { ComingRanges } from './coming-ranges.ts'
import { lanes, type Lane } from './lane.ts'
import { ownRecords, type FoundRecord, type Own, type PassedBy } from './own-records.ts'
import type { FindBytes } from './record-reader.ts'
import { ResumeMoves } from './resume-moves.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { Extent, SegmentLog } from './segment-log.ts'
import type { Survey } from './survey.ts'

export interface TakenUp {
  /** Where the chain goes on; undefined where that cannot be known, and a new chain must begin. */
  readonly head: ChainHead | undefined
  /** The largest of the records found; a new chain's must be larger. */
  readonly newestEpoch: Epoch | undefined
  /** The segments have records, and all of them are of another device or key. */
  readonly isForeign: boolean
  /** Where the chain's last record stands. */
  readonly last: Extent | null
  /** How many records came behind the head that the index had. */
  readonly behindHead: number
  /** The segments that could not be read. */
  readonly unread: ReadonlySet<number>
  readonly points: readonly ResumePoint[]
}

/** What the index is missing, and what the segments are searched with. */
export interface TakeUpParts {
  readonly index: IndexStore
  readonly segments: SegmentLog
  readonly own: Own
  readonly resumePoints: ReadonlyMap<Manifest['stream'], ResumePoint>
  readonly findBytes: FindBytes
}

/**
 * LevelDB can lose entries, and its newest ones, without an error, or be the one of last week; a crash can leave a record in
 * a segment that did not get into the index. The segments outrank the index: every record in them that is this device's own,
 * and has no receipt as far as the index knows, is put back into it. Where such records continue the chain, its head and the
 * resume points of their files move on over them. One that had its receipt all the same is sent again and answered
 * "duplicate".
 */
export async function takeUp(survey: Survey, parts: TakeUpParts): Promise<TakenUp> {
  const { index, segments, own } = parts
  const isComplete = survey.head !== undefined && survey.expected === survey.count
  const known = isComplete ? new Set<string>() : await knownPlaces(index)
  const search = new Search(survey, isComplete, known, parts)
  const mayGoOn = new Set([
    ...lastOfLanes(segments.segments, segments),
    ...lastOfLanes([...survey.seen], segments),
  ])
  for (const segment of segments.segments) {
    // Where nothing is missing before the head, what is behind it is in what came last, or in what grew when the index stopped.
    if (isComplete && survey.seen.has(segment) && !mayGoOn.has(segment)) continue
    const bytes = await segments.readWhole(segment).catch(() => undefined)
    if (bytes) await search.take({ bytes, segment, lane: segments.laneOf(segment) }, own)
    else search.skip(segment)
  }
  return search.finish()
}

/** The newest of each lane. */
function lastOfLanes(among: readonly number[], segments: SegmentLog): readonly number[] {
  const newestFirst = segments.segments.toReversed().filter((segment) => among.includes(segment))
  const last = lanes.map((lane) => newestFirst.find((segment) => segments.laneOf(segment) === lane))
  return last.filter((segment) => segment !== undefined)
}

async function knownPlaces(index: IndexStore): Promise<Set<string>> {
  const places = new Set<string>()
  for (const prefix of [...lanes.map((lane) => lanePrefixes[lane]), keys.aside])
    for await (const [key] of allUnder(index, prefix)) places.add(key.slice(prefix.length))
  return places
}

/** A record behind the head that the index had. */
type Behind = Pick<FoundRecord['record'], 'manifest' | 'digest'> & Pick<FoundRecord, 'entry'>

/** Which record has a place; no more of it than is needed, because there may be as many as the queue has. */
interface Holder extends Pick<FoundRecord['entry'], 'lane' | 'stream'> {
  readonly sealedMs: number
  /** Of what it holds; where it holds nothing, nothing begins behind it. */
  readonly offset: ByteOffset
}

class Search {
  readonly #survey: Survey
  readonly #isComplete: boolean
  readonly #known: Set<string>
  readonly #parts: TakeUpParts
  readonly #moves: ResumeMoves
  readonly #ranges: ComingRanges
  readonly #behind = new Map<number, Behind>()
  /** Of those that were before it, by their places. */
  readonly #holders = new Map<string, Holder>()
  /** The segments that had one of these. */
  readonly #behindIn = new Set<number>()
  readonly #unread = new Set<number>()
  /** The place behind the last of these that continues the chain. */
  #followedTo: number | undefined
  #last: Extent | null
  #newestEpoch: Epoch | undefined
  #hasForeign = false
  /** Those in whose newest segment something behind the last record may have been one, that was sent. */
  readonly #endsDamaged = new Set<Lane>()
  #isAnyDamaged = false

  constructor(survey: Survey, isComplete: boolean, known: Set<string>, parts: TakeUpParts) {
    this.#survey = survey
    this.#isComplete = isComplete
    this.#known = known
    this.#parts = parts
    this.#moves = new ResumeMoves(parts.resumePoints)
    this.#ranges = new ComingRanges(parts.index)
    this.#newestEpoch = survey.epoch
    this.#last = survey.head ? survey.last : null
  }

  /** Nobody knows what stands in it, so it is not unlinked; the next start looks again. */
  skip(segment: number): void {
    this.#parts.segments.retain(segment)
    this.#unread.add(segment)
  }

  /** Stores what a segment has and the index has not, all or nothing. */
  async take(segment: Parameters<typeof ownRecords>[0], own: Own): Promise<void> {
    const writes: IndexWrite[] = []
    const { index, segments } = this.#parts
    const isSettled = (place: Place): boolean => this.#isSettled(place, segment)
    for (const found of ownRecords(segment, own, isSettled)) {
      if ('record' in found) writes.push(...(await this.#consider(found)))
      else this.#notePassedBy(found)
      if (this.#mayHaveBeenSent(found)) this.#endsDamaged.add(segment.lane)
      else this.#endsDamaged.delete(segment.lane)
    }
    const isNew = !this.#survey.seen.has(segment.segment)
    if (isNew && !this.#behindIn.has(segment.segment)) writes.push(put(segmentKey(segment.segment), 'seen'))
    // With the entries, or a crash would have them known and their file not.
    if (writes.length > 0) await index.write([...writes, ...pointWrites(await this.#moves.begun(segments))])
    this.#ranges.written()
  }

  /** Whether a record at this place needs no second look: it has its receipt, or the index knows it. */
  #isSettled(place: Place, { segment, lane }: Parameters<typeof ownRecords>[0]): boolean {
    const { head, marks, seen } = this.#survey
    const text = placeText(place)
    // What a start that was cut short took up says that the chain went on, and no head does.
    if (this.#isBehind(place)) return false
    if (this.#known.has(text)) return true
    if (!seen.has(segment)) return false
    if (this.#isComplete && head) return true
    return text < marks[lane]
  }

  #isBehind({ epoch, seq }: Place): boolean {
    const { head } = this.#survey
    return head !== undefined && epoch === head.epoch && seq >= head.next
  }

  #notePassedBy({ is }: PassedBy): void {
    if (is === 'foreign') this.#hasForeign = true
    if (is === 'damaged') this.#isAnyDamaged = true
  }

  /** Whether it is damaged, or looks like another's for that, and may have a place of which the index's head knows nothing. */
  #mayHaveBeenSent(found: FoundRecord | PassedBy): boolean {
    if ('record' in found || found.is === 'settled') return false
    return !found.place || !this.#survey.head || this.#isBehind(found.place)
  }

  async #consider({ record: { manifest, digest }, entry }: FoundRecord): Promise<IndexWrite[]> {
    this.#newestEpoch = Math.max(this.#newestEpoch ?? 0, entry.epoch) as Epoch
    if (!this.#isBehind(entry)) return this.#restore({ manifest, entry })
    const rival = this.#behind.get(entry.seq)
    this.#behindIn.add(entry.extent.segment)
    if (!rival || sealedMs(rival.manifest) <= sealedMs(manifest))
      this.#behind.set(entry.seq, { manifest, digest, entry })
    return []
  }

  async #restore({ manifest, entry }: Pick<Behind, 'manifest' | 'entry'>): Promise<IndexWrite[]> {
    const place = placeText(entry)
    const rival = this.#holders.get(place)
    if (rival && rival.sealedMs > sealedMs(manifest)) return []
    this.#holders.set(place, holderOf(manifest, entry.lane))
    if (rival) this.#moves.takeBack(rival)
    this.#moves.restore(manifest, entry.extent)
    const displaced = rival ? [del(recordKey({ ...entry, lane: rival.lane }))] : []
    return [...displaced, ...(await this.#entryWrites({ manifest, entry }))]
  }

  async #entryWrites({ manifest, entry }: Pick<Behind, 'manifest' | 'entry'>): Promise<IndexWrite[]> {
    return [put(recordKey(entry), encodeEntry(entry)), ...(await this.#ranges.found(manifest))]
  }

  async finish(): Promise<TakenUp> {
    const { index, segments } = this.#parts
    const head = this.#followChain()
    if (!head) await this.#settleStrays()
    const points = await this.#moves.moved(segments)
    const writes: IndexWrite[] = []
    for (const found of this.#behind.values()) writes.push(...(await this.#entryWrites(found)))
    writes.push(
      ...[...this.#behindIn].map((segment) => put(segmentKey(segment), 'seen')),
      ...pointWrites(points),
      ...this.#beganWrites(points),
      ...(head ? [put(keys.head, encodeHead({ head, at: this.#last }))] : []),
    )
    if (this.#behindIn.size + points.length > 0) await index.write(writes)
    // A damaged record can look like another's: among this device's own it says nothing.
    const isForeign = this.#hasForeign && !this.#survey.head && this.#newestEpoch === undefined
    return {
      head,
      last: head ? this.#last : null,
      newestEpoch: this.#newestEpoch,
      isForeign,
      behindHead: this.#behind.size,
      unread: this.#unread,
      points,
    }
  }

  /** Where a record is damaged, it may have been the first of a stream whose resume point was lost: nothing of it counts as sent. */
  #beganWrites(points: readonly ResumePoint[]): IndexWrite[] {
    const anew = points.filter(({ stream }) => !this.#parts.resumePoints.has(stream))
    return this.#isAnyDamaged ? anew.map(({ stream }) => put(beganKey(stream), '0')) : []
  }

  /**
   * Of a group that was being written when the power failed, a later record can stand there and an earlier one not. Such a one
   * would be a gap in the chain for ever: what it holds is read again, where its file still has it. Where it may not, the record
   * stays, and tells its file.
   */
  async #settleStrays(): Promise<void> {
    const from = this.#followedTo ?? this.#survey.head?.next ?? 0
    for (const [seq, { manifest, entry }] of [...this.#behind].toSorted(([one], [other]) => one - other)) {
      if (seq < from) continue
      if (await this.#isReadAgain(manifest)) this.#behind.delete(seq)
      else this.#moves.restore(manifest, entry.extent)
    }
  }

  async #isReadAgain(manifest: Manifest): Promise<boolean> {
    const { resumePoints, findBytes } = this.#parts
    if (manifest.kind !== 'data') return false
    const point = resumePoints.get(manifest.stream)
    if (!point || point.position > manifest.offset) return false
    return (await findBytes(manifest)) !== undefined
  }

  /** The head behind the records that continue the chain; undefined where one of them is missing or may be. */
  #followChain(): ChainHead | undefined {
    let { head } = this.#survey
    for (let next = head && this.#behind.get(head.next); head && next; next = this.#behind.get(head.next)) {
      if (!continues(head, next.manifest)) return undefined
      head = headAfter(head, next.digest)
      this.#last = next.entry.extent
      this.#moves.restore(next.manifest, next.entry.extent)
      this.#followedTo = head.next
    }
    const isWhole = head && this.#behind.size === head.next - (this.#survey.head?.next ?? 0)
    // Alone, damage at the end is what a power cut leaves of a group that was never synced, and so never sent.
    const isOpenEnded = this.#behind.size > 0 && this.#endsDamaged.size > 0
    return isWhole && !isOpenEnded ? head : undefined
  }
}

/**
 * A failing disk can leave a record whose group was given up, and whose place the next one took: of two at one place the one
 * that was sealed later is the chain's. Both were sealed in one life of the agent, so one clock counts for both.
 */
function sealedMs({ time }: Manifest): number {
  return time.monotonicMs
}

function holderOf(manifest: Manifest, lane: Lane): Holder {
  const offset = manifest.kind === 'close' ? (manifest.length as ByteOffset) : manifest.offset
  return { lane, stream: manifest.stream, offset, sealedMs: sealedMs(manifest) }
}

function pointWrites(points: readonly ResumePoint[]): IndexWrite[] {
  return points.map((point) => put(resumeKey(point.stream), encodeResumePoint(point)))
}
