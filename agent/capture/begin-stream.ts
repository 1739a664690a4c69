import { streamIdBytes, streamIdFrom, type ByteOffset } from '../../protocol/ids.ts'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { evidenceAt } from '../queue/evidence.ts'
import type { FileIdentity, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { Chance, OpenFile } from '../world.ts'
import { pathOfKey } from './find-files.ts'

/**
 * A new stream from `position` on; from the beginning its file need not be open. Store its resume point before its first
 * record, so that every record's stream is known.
 */
export async function beginStream(
  found: { readonly pathKey: string; readonly place: FilePlace; readonly identity: FileIdentity },
  file: OpenFile | undefined,
  position: number,
  chance: Chance,
): Promise<ResumePoint> {
  const stream = streamIdFrom(chance.bytes(streamIdBytes))
  const named = logPathFromBytes(pathOfKey(found.pathKey))
  if (stream === undefined || named === undefined)
    throw new Error('its path is too long to be named in a record')
  const { identity, place: lies } = found
  // Most often it lies where it was found, under an ASCII name: then there is one text of it, and not three.
  const path = named === found.pathKey ? found.pathKey : named
  const place = lies.path === path ? { ...lies, path } : lies
  const evidence = file ? await evidenceAt(file, position) : []
  return { stream, path, identity, position: position as ByteOffset, evidence, place }
}
