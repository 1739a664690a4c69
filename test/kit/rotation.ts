import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** The Debian package keeps it where only root's PATH leads. */
const command = '/usr/sbin/logrotate'

export const hasLogrotate = spawnSync(command, ['--version']).status === 0

/** One way in which logrotate is used. */
export interface RotationMode {
  readonly name: string
  /** Of logrotate.conf; `OLDDIR` stands for a folder on another file system, if there is one. */
  readonly directives: readonly string[]
  /** Its writer opens the path anew when another file stands there; without it, it never does. */
  readonly reopens: boolean
  /** What is watched: the copies of a mode that copies would be files of their own. */
  readonly glob: 'app.log' | 'app.log*'
  /** Its archives are overwritten in place: what is left of one meanwhile is a generation of its own, and has old lines. */
  readonly isShredded?: boolean
}

const renamed = { reopens: true, glob: 'app.log*' } as const
const copied = { reopens: false, glob: 'app.log' } as const

export const rotationModes = {
  create: { name: 'create', directives: ['create'], ...renamed },
  neverReopened: { name: 'neverReopened', directives: ['create'], ...renamed, reopens: false },
  nocreate: { name: 'nocreate', directives: ['nocreate'], ...renamed },
  copy: { name: 'copy', directives: ['copy'], ...copied },
  copytruncate: { name: 'copytruncate', directives: ['copytruncate'], ...copied },
  compress: { name: 'compress', directives: ['create', 'compress'], ...renamed },
  delaycompress: {
    name: 'delaycompress',
    directives: ['create', 'compress', 'delaycompress'],
    ...renamed,
  },
  dateext: { name: 'dateext', directives: ['create', 'dateext', 'dateformat -%Y%m%d-%s'], ...renamed },
  olddir: { name: 'olddir', directives: ['create', 'renamecopy', 'olddir OLDDIR'], ...renamed },
  shred: { name: 'shred', directives: ['create', 'compress', 'shred'], ...renamed, isShredded: true },
} as const satisfies Readonly<Record<string, RotationMode>>

/** A log that logrotate rotates, in a folder of its own. */
export class RotatedLog {
  readonly mode: RotationMode
  readonly folder: string
  rotations = 0
  readonly #olddir: string
  readonly #config: string

  /** `logs` is what the agent watches; everything else goes below `aside`. */
  static async make(mode: RotationMode, logs: string, aside: string): Promise<RotatedLog> {
    const log = new RotatedLog(mode, logs, aside)
    await mkdir(log.folder, { recursive: true })
    await mkdir(log.#olddir, { recursive: true })
    const directives = mode.directives.map((line) => line.replace('OLDDIR', log.#olddir))
    const lines = ['rotate 10000', 'missingok', ...directives]
    await writeFile(log.#config, `${log.path} {\n${lines.map((line) => `  ${line}\n`).join('')}}\n`)
    return log
  }

  private constructor(mode: RotationMode, logs: string, aside: string) {
    this.mode = mode
    this.folder = join(logs, mode.name)
    this.#olddir = join(aside, `${mode.name}.old`)
    this.#config = join(aside, `${mode.name}.conf`)
  }

  get path(): string {
    return join(this.folder, 'app.log')
  }

  /** `logrotate -f`. Throws where it failed. */
  async rotate(): Promise<void> {
    const logrotate = spawn(command, ['-f', '-s', `${this.#config}.state`, this.#config])
    let said = ''
    logrotate.stderr.on('data', (piece: Buffer) => (said += piece.toString()))
    const [status] = (await once(logrotate, 'close')) as [number | null]
    if (status !== 0) throw new Error(`logrotate ended with ${status}: ${said}`)
    this.rotations++
  }

  /** The rotated files, without the live one. A space in the path, and logrotate would rotate nothing and say nothing. */
  async archives(): Promise<string[]> {
    const folders = [this.folder, this.#olddir]
    const names = await Promise.all(folders.map(async (folder) => [folder, await readdir(folder)] as const))
    const paths = names.flatMap(([folder, found]) => found.map((name) => join(folder, name)))
    return paths.filter((path) => path !== this.path)
  }

  /** How many links each file in the folder has now. */
  async links(): Promise<number[]> {
    const names = await readdir(this.folder)
    const stats = names.map((name) => statSync(join(this.folder, name), { throwIfNoEntry: false }))
    return stats.map((found) => found?.nlink ?? 0)
  }

  /** What survives on the disk, a file each. */
  async survivors(): Promise<Buffer[]> {
    const paths = [...(await this.archives()), this.path]
    return Promise.all(paths.map(readArchive))
  }
}

async function readArchive(path: string): Promise<Buffer> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    // With nocreate there is no file before the writer comes again.
    if (cause.code !== 'ENOENT') throw cause
    return Buffer.alloc(0)
  })
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

/** Appends numbered lines, as a program that logs does. */
export class LineWriter implements Disposable {
  /** How many lines there are; each bears its number. */
  lines = 0
  bytes = 0
  readonly #log: RotatedLog
  #file: number

  constructor(log: RotatedLog) {
    this.#log = log
    this.#file = openSync(log.path, 'a')
  }

  /** Writes so many lines; the last of them in two pieces, which `between` parts. */
  async write(count: number, between: () => Promise<void>): Promise<void> {
    if (this.#log.mode.reopens) this.#reopen()
    const text = Array.from({ length: count }, (_, index) => lineOf(this.#log.mode, this.lines + index)).join(
      '',
    )
    const half = text.length - 20
    writeSync(this.#file, text.slice(0, half))
    await between()
    writeSync(this.#file, text.slice(half))
    this.lines += count
    this.bytes += text.length
  }

  #reopen(): void {
    const now = statSync(this.#log.path, { throwIfNoEntry: false })
    // A file that the writer makes first is put aside by `create`, under one name for all of an hour.
    if (!now && this.#log.mode !== rotationModes.nocreate) return
    if (now?.ino === fstatSync(this.#file).ino) return
    closeSync(this.#file)
    this.#file = openSync(this.#log.path, 'a')
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}

/** Of one length, so that its place in a file tells its offset. */
function lineOf({ name }: RotationMode, number: number): string {
  const random = (Math.imul(number + 1, 2_654_435_761) >>> 0).toString(36).padStart(7, '0')
  return `${String(number).padStart(9, '0')} ${name} alt=${number % 500} fix=${random}\n`
}

/** Has the agent of a flight watch these logs and nothing else. */
export async function watchOnly(configFile: string, logs: readonly RotatedLog[]): Promise<void> {
  const config = JSON.parse(await readFile(configFile, 'utf8')) as object
  const sources = [{ paths: logs.map(({ folder, mode }) => join(folder, mode.glob)) }]
  await writeFile(configFile, JSON.stringify({ ...config, sources }))
}
