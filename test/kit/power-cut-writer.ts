import type { DiskFile, PowerCutDisk } from './power-cut-disk.ts'
import { createFile, fileAt, makeFolders, renameNode } from './power-cut-world.ts'
import type { Seeded } from './seeded.ts'

const folder = '/logs'
const mostFiles = 4

/** A file as it was before each cut and as the cut left it. */
interface History {
  readonly file: DiskFile
  readonly versions: { readonly before: Uint8Array; readonly left: Uint8Array }[]
}

/** Programs that log: they append, rotate, begin files, and sync some of it. Nothing is ever taken away but by a cut. */
export class PowerCutWriter {
  readonly glob = `${folder}/*.log*`
  readonly #disk: PowerCutDisk
  readonly #chance: Seeded
  readonly #histories = new Map<string, History>()
  #begun = 0

  constructor(disk: PowerCutDisk, chance: Seeded) {
    this.#disk = disk
    this.#chance = chance
  }

  get #names(): string[] {
    return [...makeFolders(this.#disk, ['logs']).names.keys()]
  }

  /** The files that are there. */
  get files(): DiskFile[] {
    return this.#names.map((name) => fileAt(this.#disk, `${folder}/${name}`))
  }

  /** What was ever in a file, by its inode. */
  historyOf(inode: string): History | undefined {
    return this.#histories.get(inode)
  }

  act(): void {
    const name = this.#chance.below(5) > 0 ? this.#names[this.#chance.below(this.#names.length)] : undefined
    if (name !== undefined) return this.#write(name)
    if (this.#names.length < mostFiles) this.#begin()
  }

  #begin(): void {
    const file = createFile(this.#disk, `${folder}/${++this.#begun}.log`)
    this.#histories.set(String(file.inode), { file, versions: [] })
  }

  #write(name: string): void {
    const path = `${folder}/${name}`
    const file = fileAt(this.#disk, path)
    const turn = this.#chance.below(12)
    if (turn === 0 && name.endsWith('.log')) return renameNode(this.#disk, path, `${path}.${++this.#begun}`)
    if (turn === 1) return file.keep(file.version)
    if (turn === 2) return this.#disk.keepNames(this.#disk.stepsOf(makeFolders(this.#disk, ['logs'])))
    const count = 1 + this.#chance.below(this.#chance.pick([50, 700, 6000]))
    file.write([this.#chance.text(count)], file.content.length)
  }

  /** To be called with what cuts the power. */
  through(cut: () => void): void {
    const before = new Map([...this.#histories].map(([inode, { file }]) => [inode, file.content]))
    cut()
    for (const [inode, { file, versions }] of this.#histories)
      versions.push({ before: before.get(inode) ?? file.content, left: file.content })
  }
}
