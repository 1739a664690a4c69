import { dirname } from 'node:path'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import type { FilePlace } from '../queue/resume-point.ts'
import type { Files } from '../world.ts'
import { pathIn, pathKey, pathOfKey } from './find-files.ts'

const slash = 0x2f

/** The folder of a path, byte for byte. */
export function folderOf(path: Uint8Array): Uint8Array {
  return pathOfKey(dirname(pathKey(path)))
}

/** Where a file lies once every link is followed. Throws where that cannot be named in a record. */
export async function placeOf(files: Files, path: Uint8Array): Promise<FilePlace> {
  const real = await files.realPath(path)
  return placeAt(real, await folderDevice(files, folderOf(real)))
}

function placeAt(real: Uint8Array, device: string): FilePlace {
  const named = logPathFromBytes(real)
  if (named === undefined) throw new Error('its path is too long to be named in a record')
  return { path: named, device }
}

/** The file system that a folder is of. */
export async function folderDevice(files: Files, folder: Uint8Array): Promise<string> {
  return String((await files.facts(folder)).device)
}

interface Folder {
  readonly real: Uint8Array
  readonly device: string
}

/** The same for many files, asked once for each folder. */
export class Places {
  readonly #files: Files
  /** By pathKey. */
  readonly #folders = new Map<string, Promise<Folder>>()

  constructor(files: Files) {
    this.#files = files
  }

  async of(path: Uint8Array, isLink: boolean): Promise<FilePlace> {
    if (isLink) return placeOf(this.#files, path)
    const folder = folderOf(path)
    const { real, device } = await this.#folder(folder)
    const isHere = pathKey(real) === pathKey(folder)
    return placeAt(isHere ? path : pathIn(real, path.subarray(path.lastIndexOf(slash) + 1)), device)
  }

  #folder(folder: Uint8Array): Promise<Folder> {
    const key = pathKey(folder)
    const known = this.#folders.get(key) ?? this.#ask(folder)
    this.#folders.set(key, known)
    return known
  }

  async #ask(folder: Uint8Array): Promise<Folder> {
    const real = await this.#files.realPath(folder)
    return { real, device: await folderDevice(this.#files, real) }
  }
}
