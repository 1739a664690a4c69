import { spawnSync } from 'node:child_process'
import { open, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Program, programFile } from './program.ts'

export type DiskKind = 'tmpfs' | 'ext4'

/** $1: the kind, $2: a file to make the disk in, $3: its bytes, $4: where it goes. */
const mountDisk = `
  set -e
  if [ "$1" = ext4 ]
  then
    truncate -s "$3" "$2"
    /usr/sbin/mkfs.ext4 -q -m 0 "$2"
    mount -o loop "$2" "$4"
  else
    mount -t tmpfs -o size="$3" tmpfs "$4"
  fi
  echo mounted`
const mounted = (...last: readonly string[]): readonly string[] => ['-m', 'sh', '-c', ...last]

/** Whether this user may mount a disk of this kind. Says so where not. */
export function mayMount(kind: DiskKind): boolean {
  const tried = `image=$(mktemp) && trap 'rm "$image"' EXIT && sh -c '${mountDisk}' sh ${kind} "$image" 8388608 /mnt`
  const is = spawnSync('unshare', mounted(tried)).status === 0
  if (!is) console.warn(`skipped what needs a small disk: this user may not mount ${kind}`)
  return is
}

/** A small disk that only the programs see which are started on it. It goes with its scope, and without one in ten minutes. */
export class SmallDisk implements AsyncDisposable {
  readonly #holder: Program
  readonly #path: string

  /** Mounts it at a folder. The file that it is made in stays. */
  static async mount(kind: DiskKind, path: string, bytes: number, image: string): Promise<SmallDisk> {
    const args = mounted(`${mountDisk}; exec sleep 600`, 'sh', kind, image, String(bytes), path)
    const holder = Program.spawn('unshare', args)
    await holder.line(/^mounted$/)
    return new SmallDisk(holder, path)
  }

  private constructor(holder: Program, path: string) {
    this.#holder = holder
    this.#path = path
  }

  /** How this process sees what is at this name on the disk. */
  path(...names: readonly string[]): string {
    return join('/proc', String(this.#holder.pid), 'root', this.#path, ...names)
  }

  /** A program of the tree that sees it. */
  start(file: string, args: readonly string[]): Program {
    const program = [process.execPath, programFile(file), ...args]
    return Program.spawn('nsenter', ['-m', '-t', String(this.#holder.pid), ...program])
  }

  /** Fills it with a file of this name, to the last byte. */
  async fill(name: string): Promise<void> {
    await using file = await open(this.path(name), 'a')
    for (let bytes = 1 << 20; bytes > 0;) {
      try {
        await file.appendFile(Buffer.alloc(bytes, 'x'))
        await file.datasync()
      } catch {
        bytes >>= 1
      }
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path())
    return bavail * bsize
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.kill()
  }
}
