import { hex, type DeviceId, type Digest, type Epoch, type Sequence } from '../../protocol/ids.ts'
import type { BlobKey } from './blob-store.ts'

/** The records of the streams, and apart from them those whose place in the chain was taken. */
export const areas = ['records', 'forks'] as const
export type Area = (typeof areas)[number]
export const areaOf = (role: 'first' | 'fork'): Area => (role === 'fork' ? 'forks' : 'records')

/** The first record of a blob, after which it is named. */
export interface FirstRecord {
  readonly device: DeviceId
  readonly epoch: Epoch
  readonly seq: Sequence
  readonly digest: Digest
}

const recordsPerFolder = 1000
const digestPrefixBytes = 8

/**
 * A key that is not taken: AREA/DEVICE/EPOCH/FOLDER/SEQ-DIGEST.logb. A folder holds the blobs that start at one of a
 * thousand places, so that none grows without bound. The number is for a record that starts a second blob, as one
 * does whose body came later.
 */
export async function freeBlobKey(
  area: Area,
  first: FirstRecord,
  isTaken: (key: BlobKey) => Promise<boolean>,
): Promise<BlobKey> {
  const folder = Math.floor(first.seq / recordsPerFolder)
  const digest = hex(first.digest.subarray(0, digestPrefixBytes))
  const stem = `${area}/${first.device}/${first.epoch}/${padded(folder, 9)}/${padded(first.seq, 12)}-${digest}`
  for (let copy = 1; ; copy++) {
    const key = `${stem}${copy > 1 ? `.${copy}` : ''}.logb` as BlobKey
    if (!(await isTaken(key))) return key
  }
}

const padded = (value: number, digits: number): string => value.toString().padStart(digits, '0')
