import { equalBytes } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import { lastEvidence } from '../queue/evidence.ts'
import { isIdentityKnown, type FileIdentity, type ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, OpenFile } from '../world.ts'
import type { Witness } from './witness.ts'

export function identityOf({ device, inode, birthNs }: FileFacts): FileIdentity {
  return { device: String(device), inode: String(inode), birthNs: String(birthNs) }
}

/** As the key of a map. */
export function identityKey({ device, inode, birthNs }: FileIdentity): string {
  return `${device}:${inode}:${birthNs}`
}

/**
 * Whether two identities that differ may still be of one file: without a time of birth (FAT, some tmpfs and NFS) an inode's
 * number says little, a file system that is mounted anew may have another device number, and exFAT numbers its inodes as it
 * comes by them.
 */
export function mayBeSame(a: FileIdentity, b: FileIdentity): boolean {
  return a.birthNs === '0' || b.birthNs === '0' || a.device !== b.device || a.birthNs === b.birthNs
}

/** What a resume point says of a file that has its identity. */
export type Recognition = 'same' | 'truncated' | 'overwritten'

/**
 * Whether this still is the generation that was read, now that its identity fits. Text only grows, so its bytes must be
 * where they were. A binary file may be written to in place, so that an inode with a time of birth is proof enough;
 * without one the last bytes that were read must still be there. What the disk cannot read says nothing against it.
 */
export async function recognise(
  point: ResumePoint,
  file: OpenFile,
  facts: FileFacts,
  format: 'text' | 'binary',
  witness: Witness,
): Promise<Recognition> {
  if (facts.size < point.position) return 'truncated'
  if (isClosedAs(point, facts)) return 'same'
  if (format === 'binary' && facts.birthNs !== 0n) return 'same'
  const evidence = format === 'binary' ? lastEvidence(point.evidence) : point.evidence
  if ((await witness.says(file, evidence)) !== 'differs') return 'same'
  return facts.size < (point.seenBytes ?? 0) ? 'truncated' : 'overwritten'
}

function isClosedAs({ closed, position }: ResumePoint, facts: FileFacts): boolean {
  if (closed?.length !== facts.size || position !== facts.size) return false
  return closed.modifiedNs === String(facts.modifiedNs) && closed.changedNs === String(facts.changedNs)
}

/**
 * The resume point of a file whose identity is not known, where the file system gives none that lasts: the one of the same
 * path, or, with `isRenamed`, of another one, if what was read stands in the file. `missing` are the points whose own file is not there,
 * so two files that begin alike are never taken for one.
 */
export async function recogniseByContent(
  missing: ReadonlySet<ResumePoint>,
  found: { readonly paths: readonly Uint8Array[]; readonly identity: FileIdentity },
  file: OpenFile,
  facts: FileFacts,
  isRenamed: boolean,
  witness: Witness,
): Promise<ResumePoint | undefined> {
  const possible = [...missing].filter((point) => mayBeSame(point.identity, found.identity))
  const isHere = (point: ResumePoint): boolean => found.paths.some((path) => isAt(point, path))
  const here = possible.filter((point) => isHere(point) && isProvable(point))
  const elsewhere = possible.filter((point) => !isHere(point) && point.evidence.length > 0)
  const byLength = elsewhere.toSorted((a, b) => b.position - a.position)
  for (const point of isRenamed ? byLength : here) {
    if (point.position <= facts.size && (await witness.says(file, point.evidence)) === 'holds') return point
  }
  return undefined
}

/** Of a lost resume point that was made anew, and of whose bytes nothing was left, a path alone proves nothing. */
function isProvable({ evidence, identity }: ResumePoint): boolean {
  return evidence.length > 0 || isIdentityKnown(identity)
}

/** Whether the file was last seen there. */
export function isAt({ place, path: began }: ResumePoint, path: Uint8Array): boolean {
  return equalBytes(logPathToBytes(place?.path ?? began), path)
}
