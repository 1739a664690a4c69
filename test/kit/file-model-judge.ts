import type { FileModel, ModelFile, Version } from './file-model.ts'
import type { Loss, StoredStream } from './sortie-streams.ts'

/** By the end of what was read an agent tells that a size is of the same file. */
const endBytes = 256

/** Consecutive versions of a file that one stream tells of, as from the outside they may be one. */
interface Stretch {
  readonly file: ModelFile
  readonly versions: readonly Version[]
  /** An agent that has it open reads on what it grew by since other bytes of it were overwritten: nothing says that it is another. */
  readonly grown: Version | undefined
  /** It was filled anew, and what stood last in it stands there still: an agent can have taken the new size for its own. */
  readonly refilled: Version | undefined
  /** The file is there and watched: all of its last version has to be at the server. */
  readonly isLive: boolean
  /** The end of a longer version before may stand behind it. */
  readonly mayHaveOldEnd: boolean
  /**
   * What the server has may be named as lost: neither index nor segments tell what has its receipt, or a later write in its place was
   * in a segment that was damaged.
   */
  readonly mayNameDelivered: boolean
  /** So much of its last version was certainly read. */
  readonly seen: number
}

/**
 * Why these streams cannot be what an agent that loses nothing made of these files; undefined where they can. Each stream
 * tells of one stretch of one file, and each stretch of which anything was certainly read has its stream.
 */
export function whyImpossible(model: FileModel, streams: readonly StoredStream[]): string | undefined {
  const told = streams.filter(({ bytes, losses }) => bytes.length > 0 || losses.length > 0)
  const flawed = told.flatMap(({ path, missing, twice }) => [
    ...missing.map((range) => `${path}: ${range} is missing unnoticed`),
    ...(model.isShattered ? [] : twice.map((range) => `${path}: ${range} is stored twice`)),
  ])
  if (flawed.length > 0) return flawed.join('\n')
  const search = new Search(model, told)
  if (search.covers(0, 0)) return undefined
  return `${search.deepest}\n${showAll(model, told)}`
}

function showAll(model: FileModel, streams: readonly StoredStream[]): string {
  const written = model.files.flatMap(({ id, isListed, versions }) =>
    versions.map(
      ({ came, content, seen, mayBeNew }) =>
        `  file ${id}, ${isListed ? 'there' : 'gone'}, ${came}, ${mayBeNew ? 'new' : 'the same'}: ` +
        `${content.length} bytes, ${seen} certainly read, ${excerpt(content, 0)}`,
    ),
  )
  const stored = streams.map(
    ({ path, bytes, losses }) =>
      `  ${path}: ${bytes.length} bytes, lost: ${losses.map(showLoss).join(', ') || 'nothing'}, ${excerpt(bytes, 0)}`,
  )
  const whys = streams.flatMap((stream) => whyNotAnyOf(model, stream))
  return ['written:', ...written, 'stored:', ...stored, ...whys].join('\n')
}

/** Why a stream is of none of the versions alone; nothing where it can be of one. */
function whyNotAnyOf(model: FileModel, stream: StoredStream): string[] {
  const alone = model.files.flatMap((file) =>
    file.versions.flatMap((_, index) => stretchesFrom(model, file, index).slice(-1)),
  )
  const whys = alone.map((stretch) => `  not file ${stretch.file.id}: ${whyNotOf(stretch, stream)}`)
  const isOne = alone.some((stretch) => whyNotOf(stretch, stream) === undefined)
  return isOne ? [] : [`${stream.path} of ${stream.bytes.length} bytes is`, ...new Set(whys)]
}

/** Tries every way to tell which stream is of which stretch. There are few streams, and their contents tell them apart. */
class Search {
  readonly #model: FileModel
  readonly #streams: readonly StoredStream[]
  readonly #used = new Set<StoredStream>()
  #depth = -1
  /** Where the way that came furthest ended. */
  deepest = ''

  constructor(model: FileModel, streams: readonly StoredStream[]) {
    this.#model = model
    this.#streams = streams
  }

  /** Whether the files from this one on, this one's versions from `from` on, can be told by the streams that are left. */
  covers(index: number, from: number): boolean {
    const file = this.#model.files[index]
    if (!file) return this.#isAllUsed()
    if (from === file.versions.length) return this.covers(index + 1, 0)
    const goOn = (stretch: Stretch): boolean => this.covers(index, from + stretch.versions.length)
    return stretchesFrom(this.#model, file, from).some((stretch) => this.#isTold(stretch, goOn))
  }

  #isTold(stretch: Stretch, goOn: (stretch: Stretch) => boolean): boolean {
    const whys: string[] = []
    for (const stream of this.#streams) {
      if (this.#used.has(stream)) continue
      const why = whyNotOf(stretch, stream)
      whys.push(`  ${stream.path} (${stream.bytes.length} bytes): ${why}`)
      if (why !== undefined) continue
      this.#used.add(stream)
      if (goOn(stretch)) return true
      this.#used.delete(stream)
    }
    if (mayBeUntold(stretch, this.#streams, this.#model)) return goOn(stretch)
    this.#note(`no stream is of ${show(stretch)}:\n${whys.join('\n')}`)
    return false
  }

  #isAllUsed(): boolean {
    const more = this.#streams.filter((stream) => !this.#used.has(stream))
    const lines = more.map(({ path, bytes }) => `  ${path}: ${bytes.length} bytes, ${excerpt(bytes, 0)}`)
    if (more.length > 0)
      this.#note(`streams that tell of nothing that was written, or of it again:\n${lines.join('\n')}`)
    return more.length === 0
  }

  #note(why: string): void {
    if (this.#used.size <= this.#depth) return
    this.#depth = this.#used.size
    this.deepest = why
  }
}

/**
 * The stretches that begin with a version, the longest first. An index of the past, beside segments that lost what came after, may
 * have any version go on in the stream of the one before: what stood there then is at the server as earlier writes.
 */
function stretchesFrom(model: FileModel, file: ModelFile, from: number): Stretch[] {
  const { isShattered, isUnheard, wereSegmentsDamaged } = model
  const stretches: Stretch[] = []
  if (!file.versions[from]?.mayBeNew) return []
  let seen = 0
  for (const [index, version] of file.versions.entries()) {
    if (index < from) continue
    const before = index > from ? file.versions[index - 1] : undefined
    if (before && !isShattered && !mayGoOn(before, version, seen)) break
    seen = Math.max(seen, version.seen)
    const versions = file.versions.slice(from, index + 1)
    const isLive = file.isListed && index === file.versions.length - 1
    const next = file.versions[index + 1]
    const grown = next?.came === 'patched' ? next : undefined
    const refilled = next?.came === 'cut' && endsIn(version.content, next.content) ? next : undefined
    stretches.unshift({
      file,
      versions,
      grown,
      refilled,
      isLive,
      mayHaveOldEnd: isUnheard && versions.length > 1,
      mayNameDelivered: isShattered || (wereSegmentsDamaged && isPatched([...versions, grown])),
      seen: isLive ? version.content.length : seen,
    })
  }
  return stretches
}

/** Whether bytes of it were written over in place. */
function isPatched([, ...later]: readonly (Version | undefined)[]): boolean {
  return later.some((version) => version?.came === 'patched')
}

/** Whether an agent that has read `seen` bytes, at least, can have taken the change for growth. */
function mayGoOn(before: Version, after: Version, seen: number): boolean {
  return after.came !== 'cut' || seen <= sharedBytes(before.content, after.content)
}

function endsIn(before: Buffer, after: Buffer): boolean {
  const end = Math.max(0, before.length - endBytes)
  return before.length > 0 && before.subarray(end).equals(after.subarray(end, before.length))
}

function sharedBytes(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return at
  return length
}

/**
 * A queue that was damaged may tell a file by its content: a copy that began so may have taken its stream over, and been written
 * to since.
 */
function mayBeUntold(
  { file, versions, seen }: Stretch,
  streams: readonly StoredStream[],
  { files, wasDamaged }: FileModel,
): boolean {
  if (seen === 0) return true
  if (!wasDamaged) return false
  const begin = versions.at(-1)?.content.subarray(0, seen) ?? Buffer.alloc(0)
  const others = files.filter((other) => other !== file).flatMap((other) => other.versions)
  const contents = [...streams.map(({ bytes }) => bytes), ...others.map(({ content }) => content)]
  return contents.some((content) => content.subarray(0, seen).equals(begin))
}

function whyNotOf(stretch: Stretch, stream: StoredStream): string | undefined {
  const last = stretch.versions.at(-1)?.content ?? Buffer.alloc(0)
  const { bytes, losses } = stream
  const told = stretch.mayHaveOldEnd ? bytes.subarray(0, last.length) : bytes
  if (stretch.isLive && !told.equals(last)) return differenceOf(last, bytes)
  if (stretch.isLive && losses.length > 0) return `it has losses: ${losses.map(showLoss).join(', ')}`
  if (bytes.length < stretch.seen) return `it ends at ${bytes.length}, and ${stretch.seen} were read`
  const unread = losses.filter(({ isDelivered }) => !(isDelivered && stretch.mayNameDelivered))
  const early = unread.find(({ from }) => from < stretch.seen)
  if (early) return `it says that bytes are lost that were read: ${showLoss(early)}`
  const longest = Math.max(...allOf(stretch).map(({ content }) => content.length))
  const wild = losses.find(({ to }) => to !== null && to > longest)
  if (wild) return `it says that bytes are lost that never were: ${showLoss(wild)} of ${longest}`
  const at = bytes.findIndex((byte, place) => !isLost(place, losses) && !wasThere(byte, place, stretch))
  return at < 0 ? undefined : `at ${at} it has what was never there: ${excerpt(bytes, at)}`
}

function wasThere(byte: number, place: number, { versions, grown }: Stretch): boolean {
  const isBehind = versions.every(({ content }) => place >= content.length)
  return (
    versions.some(({ content }) => content[place] === byte) || (isBehind && grown?.content[place] === byte)
  )
}

function allOf({ versions, grown, refilled }: Stretch): readonly Version[] {
  return [...versions, grown, refilled].filter((version) => version !== undefined)
}

function isLost(place: number, losses: readonly Loss[]): boolean {
  return losses.some(({ from, to }) => place >= from && place < (to ?? Infinity))
}

function show({ file, versions, seen, isLive }: Stretch): string {
  const { content = Buffer.alloc(0) } = versions.at(-1) ?? {}
  const state = isLive ? 'is there' : 'is gone'
  const ways = versions.map(({ came }) => came).join(', ')
  return `file ${file.id} (${ways}; ${content.length} bytes, ${seen} certainly read, ${state}; ${excerpt(content, 0)})`
}

function showLoss({ from, to, reason }: Loss): string {
  return `${from}-${to ?? ''} ${reason}`
}

function excerpt(bytes: Uint8Array, at: number): string {
  return JSON.stringify(
    Buffer.from(bytes)
      .subarray(at, at + 24)
      .toString('latin1'),
  )
}

function differenceOf(written: Buffer, stored: Buffer): string {
  const at = sharedBytes(written, stored)
  return `${stored.length} bytes of ${written.length}, from ${at} on ${excerpt(stored, at)}, not ${excerpt(written, at)}`
}
