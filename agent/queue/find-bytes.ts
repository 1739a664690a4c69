import { dirname } from 'node:path'
import type { StreamId } from '../../protocol/ids.ts'
import { equalBytes, sha256 } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { DataManifest } from '../../protocol/manifest.ts'
import type { Files, OpenFile, Path } from '../world.ts'
import type { FindBytes } from './record-reader.ts'
import type { FileIdentity, ResumePoint } from './resume-point.ts'

/** Where a file was found that had been renamed, so that a folder is not searched for each record. */
const rememberedPaths = 64

/** Where the files of streams are, as far as they have been looked for. */
export interface Whereabouts {
  /** Nobody has looked yet: a file that is not where it was may be found elsewhere. */
  isUnknown: boolean
  pathOf: (stream: StreamId) => Path | undefined
}

/**
 * Finds the bytes of a record where they came from: where its file is, or was last seen, at the path under which its stream
 * began, or beside that, told by the identity. Whatever the file is by now, only bytes of the signed hash are given.
 */
export function bytesInFiles(
  files: Files,
  resumePoints: ReadonlyMap<StreamId, ResumePoint>,
  whereabouts: Pick<Whereabouts, 'pathOf'>,
): FindBytes {
  const renamed = new Map<StreamId, Path | undefined>()
  return async (manifest) => {
    const { stream } = manifest
    const point = resumePoints.get(stream)
    const path = logPathToBytes(manifest.path)
    for (const known of [
      whereabouts.pathOf(stream),
      point?.place && logPathToBytes(point.place.path),
      path,
    ]) {
      const bytes = known && (await readRange(files, known, manifest))
      if (bytes) return bytes
    }
    if (!renamed.has(stream)) {
      if (renamed.size >= rememberedPaths) renamed.clear()
      renamed.set(stream, await findRenamed(files, path, point?.identity))
    }
    const other = renamed.get(stream)
    return other === undefined ? undefined : readRange(files, other, manifest)
  }
}

async function readRange(files: Files, path: Path, manifest: DataManifest): Promise<Uint8Array | undefined> {
  try {
    await using file = await files.openToRead(path)
    const bytes = Buffer.allocUnsafe(manifest.length)
    const isWhole = await fill(bytes, file, manifest.offset)
    return isWhole && equalBytes(sha256(bytes), manifest.sha256) ? bytes : undefined
  } catch {
    // Gone, or not readable: then the record's own body was the last of it.
    return undefined
  }
}

async function fill(bytes: Uint8Array, file: OpenFile, offset: number): Promise<boolean> {
  for (let done = 0; done < bytes.length;) {
    const count = await file.read(bytes.subarray(done), offset + done)
    if (count === 0) return false
    done += count
  }
  return true
}

/** The file of this identity in the folder of a path. */
export async function findRenamed(
  files: Files,
  path: Uint8Array,
  identity: FileIdentity | undefined,
): Promise<Path | undefined> {
  if (!identity) return undefined
  const folder = Buffer.from(dirname(Buffer.from(path).toString('latin1')), 'latin1')
  try {
    for await (const { name } of files.entries(folder)) {
      const candidate = Buffer.concat([folder, Buffer.from('/'), name])
      if (await isThisFile(files, candidate, identity)) return candidate
    }
  } catch {
    // The folder is gone, too.
  }
  return undefined
}

async function isThisFile(files: Files, path: Path, identity: FileIdentity): Promise<boolean> {
  try {
    const { device, inode, birthNs } = await files.facts(path)
    const isSame = String(device) === identity.device && String(inode) === identity.inode
    return isSame && String(birthNs) === identity.birthNs
  } catch {
    return false
  }
}
