/**
 * What a file held between two changes of it that were more than growth. How it came to be: `cut`, by truncation or by being
 * filled anew; `patched`, bytes in it were overwritten; `recalled`, the same content, but the queue's index was damaged.
 */
export interface Version {
  readonly came: 'created' | 'cut' | 'patched' | 'recalled'
  /** A stream may begin with it: nothing proves to the agent that it is what it read on. */
  readonly mayBeNew: boolean
  content: Buffer
  /** So much of it was certainly read and queued: a look ended after it was written. */
  seen: number
  /** So much of it certainly had a receipt. */
  stored: number
  /** What was queued of it may be damaged: it is made again from the file when it is sent, if that has the same bytes by then. */
  isShaken: boolean
}

/** How much of its head, and of what was read last, an agent tells a file by. */
const evidenceBytes = 1024

const unread = { seen: 0, stored: 0, isShaken: false }

/** An inode. */
export class ModelFile {
  readonly id: number
  readonly versions: Version[]
  isListed = false
  /** Its length when a glob last led to it. */
  listedLength = 0
  /** An agent that still runs has found it, and holds it open. */
  isHeld = false

  constructor(id: number, content: Buffer) {
    this.id = id
    this.versions = [{ came: 'created', mayBeNew: true, content, ...unread }]
  }

  get version(): Version {
    const last = this.versions.at(-1)
    if (!last) throw new Error('a file begins with a version')
    return last
  }

  get content(): Buffer {
    return this.version.content
  }

  append(bytes: Buffer): void {
    this.version.content = Buffer.concat([this.content, bytes])
  }

  /** Truncated, or filled anew. An agent that has it open reads on what it held before. */
  cut(content: Buffer): void {
    this.versions.push({ came: 'cut', mayBeNew: true, content, ...unread })
    this.isHeld = false
  }

  /** Bytes in it are others now. Where those are that an agent tells a file by, it may take it for another. */
  patch(bytes: Buffer, at: number): void {
    const content = Buffer.from(this.content)
    content.set(bytes, at)
    const { seen, isShaken } = this.version
    const mayBeNew = at < evidenceBytes || at + bytes.length > seen - evidenceBytes
    this.versions.push({ came: 'patched', mayBeNew, content, ...unread, isShaken })
  }

  recall(): void {
    const { content, isShaken } = this.version
    this.versions.push({ came: 'recalled', mayBeNew: true, content, ...unread, isShaken })
  }
}

export type Name =
  { readonly is: 'file'; readonly file: ModelFile } | { readonly is: 'link'; readonly to: string }

/** The names, as the file system has them, and every file that ever was. */
export class FileModel {
  readonly names = new Map<string, Name>()
  readonly files: ModelFile[] = []
  /** Since the server last had everything. */
  #damaged = { index: false, segments: false }
  /** Envelopes and bodies were damaged at one time: what was in them may be gone without a trace in the chain. */
  isShattered = false
  /** A chain may have begun anew, and the server been asked what it has: its word tells a file by its content. */
  wasDamaged = false
  wereSegmentsDamaged = false
  /** After both were damaged an agent began without the server's word: a file that was cut may have gone on in its stream. */
  isUnheard = false

  create(name: string, content: Buffer): ModelFile {
    const file = new ModelFile(this.files.length, content)
    this.files.push(file)
    this.set(name, { is: 'file', file })
    return file
  }

  set(name: string, what: Name): void {
    this.names.set(name, what)
    this.#relist()
  }

  remove(name: string): void {
    this.names.delete(name)
    this.#relist()
  }

  rename(from: string, to: string): void {
    const what = this.names.get(from)
    if (!what) return
    this.names.delete(from)
    this.set(to, what)
  }

  /** The file that a name leads to. */
  fileAt(name: string): ModelFile | undefined {
    const found = this.names.get(name)
    if (found?.is === 'link') return this.fileAt(found.to)
    return found?.file
  }

  /** Names that lead to a file, in order. */
  get fileNames(): string[] {
    return [...this.names.keys()].filter((name) => this.names.get(name)?.is === 'file').toSorted()
  }

  get #listed(): Set<ModelFile | undefined> {
    return new Set([...this.names.keys()].filter(isInGlob).map((name) => this.fileAt(name)))
  }

  #relist(): void {
    const listed = this.#listed
    for (const file of this.files) {
      if (file.isListed) file.listedLength = file.content.length
      file.isListed = listed.has(file)
    }
  }

  /** A look of the agent ended: it has read what was listed, and the rest of what it held open. */
  looked(isStored: boolean): void {
    for (const file of this.files) {
      const { version } = file
      if (file.isListed) file.isHeld = true
      if (isStored) version.isShaken = false
      if (version.isShaken) continue
      if (file.isListed) version.seen = version.content.length
      else if (file.isHeld) version.seen = Math.max(version.seen, file.listedLength)
      if (isStored) for (const one of file.versions) one.stored = one.seen
    }
    if (isStored) this.#damaged = { index: false, segments: false }
  }

  agentEnded(): void {
    for (const file of this.files) file.isHeld = false
  }

  startedUnheard(): void {
    this.isUnheard ||= this.isShattered
  }

  /** What was queued and has no receipt may be gone, unless it is read again. */
  segmentsDamaged(): void {
    this.#noteDamage({ segments: true })
    this.wereSegmentsDamaged = true
    for (const version of this.files.flatMap(({ versions }) => versions)) {
      version.seen = version.stored
      version.isShaken = true
    }
  }

  /** The agent may not know any more how far it was, and begin anew. */
  indexDamaged(): void {
    this.#noteDamage({ index: true })
    for (const file of this.files) file.recall()
  }

  #noteDamage(what: { index: true } | { segments: true }): void {
    this.#damaged = { ...this.#damaged, ...what }
    this.wasDamaged = true
    this.isShattered ||= this.#damaged.index && this.#damaged.segments
  }
}

function isInGlob(name: string): boolean {
  return !name.startsWith('..')
}
