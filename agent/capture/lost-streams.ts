import { limits } from '../../protocol/contract.ts'
import { base64url, type ByteOffset } from '../../protocol/ids.ts'
import { logPathFromBytes, logPathToBytes, showLogPath, type LogPath } from '../../protocol/log-path.ts'
import type { Recall, Recalled } from '../deliver/recall.ts'
import { evidenceAt } from '../queue/evidence.ts'
import type { Queue } from '../queue/queue.ts'
import { isMadeAnew, type ResumePoint } from '../queue/resume-point.ts'
import type { SourceConfig } from '../source-config.ts'
import type { OpenFile, World } from '../world.ts'
import { pathKey, pathOfKey } from './find-files.ts'
import { identityKey, identityOf } from './identity.ts'
import { placeOf } from './places.ts'
import { RangeHashes, recogniseRecalled } from './recognise-recalled.ts'
import type { Round, Stranger } from './round.ts'

/** For all answers together: meanwhile nothing is read. */
const askMs = 10_000
/** What a rotation appends to a name: `.1`, `-20260730`, `.2026-07-30`. */
const rotationSuffix = /[.-]\d[\d-]*$/

/**
 * Where the queue is new, the server is asked once what it has of the files that are there, so that a drone which lost its
 * queue does not carry everything a second time. What the server says is compared with the files. Without an answer in
 * time, the files are read from their beginning as new streams.
 */
export class LostStreams {
  readonly #queue: Queue
  readonly #world: World
  readonly #recall: Recall | undefined
  #isAsked = false

  constructor(queue: Queue, world: World, recall: Recall | undefined) {
    this.#queue = queue
    this.#world = world
    this.#recall = recall
  }

  /**
   * Stores a resume point for each stranger of which the server has bytes. To be called before they are met, which must not be
   * where it gives false: the disk refuses, and the next look asks again.
   */
  async find(strangers: readonly Stranger[], round: Round, signal: AbortSignal): Promise<boolean> {
    const { resumePoints, head } = this.#queue
    if (!this.#recall || this.#isAsked || head.next > 0 || strangers.length === 0) return true
    const known = new Set([...resumePoints.values()].map(({ identity }) => identityKey(identity)))
    const unknown = strangers.filter(({ key }) => !known.has(key))
    if (unknown.length === 0) return true
    try {
      const lost = await this.#askInTime(unknown, this.#recall, signal)
      const points = await this.#match(unknown, lost, round)
      if (!signal.aborted) await this.#resume(points, withServersWord(resumePoints, lost))
      this.#isAsked = true
    } catch (cause) {
      for (const { found } of unknown) round.trouble(found.path, cause)
    }
    return this.#isAsked
  }

  async #askInTime(
    strangers: readonly Stranger[],
    recall: Recall,
    signal: AbortSignal,
  ): Promise<Set<Recalled>> {
    const [late, done] = [new AbortController(), new AbortController()]
    const waiting = this.#world.clock.sleep(askMs, AbortSignal.any([signal, done.signal]))
    const timer = waiting.then(() => late.abort())
    // The largest first: should the time not be enough for all, they are what it costs most to send again.
    const bySize = strangers.toSorted((a, b) => b.facts.size - a.facts.size)
    try {
      return await this.#ask(namesOf(bySize), recall, AbortSignal.any([signal, late.signal]))
    } finally {
      done.abort()
      await timer
    }
  }

  /** All that is told until a question has no answer. */
  async #ask(names: readonly LogPath[], recall: Recall, signal: AbortSignal): Promise<Set<Recalled>> {
    const lost = new Set<Recalled>()
    for (let from = 0; from < names.length; from += limits.maxQueryPaths) {
      const told = await recall(names.slice(from, from + limits.maxQueryPaths), signal)
      if (told.is !== 'told') {
        this.#world.journal.streamsUnknown(told.why)
        return lost
      }
      // What goes on in a stream must come after what the server has of it, also where this clock is not set.
      await this.#queue.outdo(told.timeMs)
      for (const generation of told.generations) lost.add(generation)
    }
    return lost
  }

  /**
   * The files at their stream's path first: what is left of the streams can only be of files that were renamed. Leaves in `lost`
   * what no file is.
   */
  async #match(strangers: readonly Stranger[], lost: Set<Recalled>, round: Round): Promise<ResumePoint[]> {
    const points = new Map<Stranger, ResumePoint>()
    for (const isRenamed of [false, true]) {
      for (const stranger of strangers.filter((one) => !points.has(one))) {
        const { pathKey: key } = stranger.found
        const possible = [...lost].filter(({ path }) => isRenamed || pathKey(logPathToBytes(path)) === key)
        if (possible.length === 0) continue
        await round.attempt(stranger.found.path, async () => {
          const matched = await this.#matchOne(stranger, possible)
          if (!matched) return
          points.set(stranger, matched.point)
          lost.delete(matched.generation)
        })
      }
    }
    return [...points.values()]
  }

  async #matchOne(
    { found: { path, source } }: Stranger,
    possible: readonly Recalled[],
  ): Promise<{ readonly generation: Recalled; readonly point: ResumePoint } | undefined> {
    await using file = await this.#world.files.openToRead(path)
    const facts = await file.facts()
    const generation = await recogniseRecalled(possible, file, facts.size)
    if (!generation) return undefined
    const beyond = await this.#beyondQueued(generation, file, facts.size, source.format === 'text')
    if (beyond === undefined) return undefined
    const position = this.#gapBefore(generation, source) ?? beyond
    const place = await placeOf(this.#world.files, path)
    const evidence = await evidenceAt(file, position)
    const { stream, path: began } = generation
    return {
      generation,
      point: { stream, path: began, identity: identityOf(facts), position, evidence, place },
    }
  }

  /**
   * From where on nobody has what stands before all that the server has: its record was damaged, or set aside, and one behind it was
   * sent. Where segments do not tell of the stream, either, it may be what was to be passed over.
   */
  #gapBefore({ stream, from }: Recalled, { startAt }: SourceConfig): ByteOffset | undefined {
    const point = this.#queue.resumePoints.get(stream)
    const begin = startAt === 'beginning' ? (0 as ByteOffset) : undefined
    const position = point && isMadeAnew(point) ? point.position : begin
    return position !== undefined && position < from ? position : undefined
  }

  /**
   * Where its records end that still wait here: what is in the queue need not be read again. undefined where they were read from
   * what this file is no more: it was truncated, or text in it was overwritten.
   */
  async #beyondQueued(
    { stream, position }: Recalled,
    file: OpenFile,
    size: number,
    isText: boolean,
  ): Promise<ByteOffset | undefined> {
    const hashes = new RangeHashes(file)
    let end: number = position
    for await (const range of this.#queue.shipped(stream)) {
      const rangeEnd = range.offset + range.length
      const isHeld = rangeEnd <= size && (await hashes.hold([range]))
      if (!isHeld && (isText || rangeEnd > size)) return undefined
      if (!isHeld || range.offset > end) break
      end = Math.max(end, rangeEnd)
    }
    return end as ByteOffset
  }

  async #resume(points: readonly ResumePoint[], notHere: readonly ResumePoint[]): Promise<void> {
    if (points.length + notHere.length > 0) await this.#queue.setResumePoints([...points, ...notHere])
    for (const { stream, path, position } of points)
      this.#world.journal.streamRecalled(showLogPath(path), stream, position)
  }
}

/**
 * The resume points of streams that no file goes on in, where segments alone tell of them and the server has more. By what was left
 * in the segments, a file that was truncated would be the one that was read.
 */
function withServersWord(points: Queue['resumePoints'], notHere: Iterable<Recalled>): ResumePoint[] {
  return [...notHere].flatMap(({ stream, from, position, evidence }) => {
    const point = points.get(stream)
    if (!point || !isMadeAnew(point) || point.position >= position) return []
    const proofs = evidence.map(({ sha256, ...range }) => ({ ...range, sha256: base64url(sha256) }))
    const proven = { ...point, evidence: [...point.evidence, ...proofs] }
    // Nobody has what stands between.
    if (point.position < from) return [{ ...proven, seenBytes: Math.max(from, point.seenBytes ?? 0) }]
    return [{ ...proven, position, seenBytes: Math.max(position, point.seenBytes ?? 0) }]
  })
}

/** The paths of these files, and those that they had before they were rotated. */
function namesOf(strangers: readonly Stranger[]): LogPath[] {
  const keys = strangers.flatMap(({ found: { pathKey: key } }) => [key, key.replace(rotationSuffix, '')])
  const names = [...new Set(keys)].map((key) => logPathFromBytes(pathOfKey(key)))
  return names.filter((name) => name !== undefined)
}
