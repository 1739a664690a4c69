import { dirname } from 'node:path'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import type { FilePlace } from '../queue/resume-point.ts'
import type { Files } from '../world.ts'
import { pathKey, pathOfKey } from './find-files.ts'

/** The folder of a path, byte for byte. */
export function folderOf(path: Uint8Array): Uint8Array {
  return pathOfKey(dirname(pathKey(path)))
}

/** Where a file lies once every link is followed. Throws where that cannot be named in a record. */
export async function placeOf(
  files: Files,
  path: Uint8Array,
  deviceOf = (folder: Uint8Array): Promise<string> => folderDevice(files, folder),
): Promise<FilePlace> {
  const real = await files.realPath(path)
  const named = logPathFromBytes(real)
  if (named === undefined) throw new Error('its path is too long to be named in a record')
  return { path: named, device: await deviceOf(folderOf(real)) }
}

/** The file system that a folder is of. */
export async function folderDevice(files: Files, folder: Uint8Array): Promise<string> {
  return String((await files.facts(folder)).device)
}
