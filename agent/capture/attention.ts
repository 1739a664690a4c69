/** Of the folders, and of the files, that may be left out: so many are asked of at one look. */
export const quietAtOnce = 1000
/** For so many looks a folder whose times stand still is believed to hold what it held: those of some file systems never move. */
const believedLooks = 30

/** So many paths that were told of are remembered; of more, something is taken to have happened everywhere. */
export const mostNews = 10_000

/** What was told. */
class News {
  readonly #paths = new Set<string>()
  #isTooMuch = false

  add(path: string): void {
    this.#paths.add(path)
    if (this.#paths.size <= mostNews) return
    this.#paths.clear()
    this.#isTooMuch = true
  }

  get isNone(): boolean {
    return this.#paths.size === 0 && !this.#isTooMuch
  }

  isOf(path: string): boolean {
    return this.#isTooMuch || this.#paths.has(path)
  }
}

/** Lets many take turns: at each look the next ones are due. */
class Rota {
  #from = 0
  #count = 0

  begin(): void {
    this.#from = this.#from + quietAtOnce < this.#count ? this.#from + quietAtOnce : 0
    this.#count = 0
  }

  isDue(): boolean {
    const at = this.#count++ - this.#from
    return at >= 0 && at < quietAtOnce
  }
}

/**
 * What a look need not ask the file system again, because the kernel tells of it and has told nothing. It may have left
 * something out, so of those, too, a thousand are asked of at each look, in turn.
 */
export class Attention {
  readonly #tellerOf: (folder: string) => object | undefined
  readonly #rotas = { folders: new Rota(), files: new Rota() }
  #isThorough = false
  #looks = 0
  /** Told before this look began, and since. */
  #heard = new News()
  #news = new News()

  /** `tellerOf` gives who tells of what happens in a folder; undefined where nobody does. */
  constructor(tellerOf: (folder: string) => object | undefined) {
    this.#tellerOf = tellerOf
  }

  /** Something happened at this path. The next look asks what. */
  hear(path: string): void {
    this.#news.add(path)
  }

  /** Call it when a look begins; a thorough one leaves nothing out. */
  begin(isThorough: boolean): void {
    this.#isThorough = isThorough
    this.#looks++
    this.#heard = this.#news
    this.#news = new News()
    for (const rota of Object.values(this.#rotas)) rota.begin()
  }

  tellerOf(folder: string): object | undefined {
    return this.#tellerOf(folder)
  }

  /** How many looks have begun. */
  get looks(): number {
    return this.#looks
  }

  /** Whether a folder that was read at that look, and has the times that it had, need not be read again. */
  isBelieved(readAt: number): boolean {
    return !this.#isThorough && this.#looks - readAt < believedLooks
  }

  /** Whether anything at all was told between the last look's beginning and this one's. */
  get hasHeard(): boolean {
    return !this.#heard.isNone
  }

  /** Whether it was of this path. */
  isHeard(path: string): boolean {
    return this.#heard.isOf(path)
  }

  /** Whether one that may be left out is asked of all the same. To be called once for each, at each look. */
  isDue(kind: 'folders' | 'files'): boolean {
    return this.#isThorough || this.#rotas[kind].isDue()
  }
}
