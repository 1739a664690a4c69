import type { ByteOffset } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { VerifiedRecord } from '../../protocol/verify.ts'
import type { Label, RecordFacts } from './catalog.ts'

/** What the catalog keeps of a verified record. */
export function factsOf(record: Pick<VerifiedRecord, 'manifest' | 'digest' | 'frame'>): RecordFacts {
  const { device, epoch, seq, prev, stream, kind } = record.manifest
  const common = { device, epoch, seq, prev, digest: record.digest, stream, kind }
  return { ...common, ...extentOf(record.manifest), hasBody: record.frame.body !== null }
}

function extentOf(manifest: Manifest): Pick<RecordFacts, 'offset' | 'length' | 'reason' | 'sha256'> {
  const { length } = manifest
  switch (manifest.kind) {
    case 'data':
      return { offset: manifest.offset, length, reason: null, sha256: null }
    case 'loss':
      return { offset: manifest.offset, length, reason: manifest.reason, sha256: null }
    case 'close':
      return { offset: 0 as ByteOffset, length, reason: null, sha256: manifest.sha256 }
  }
}

export function labelOf({ path, tags }: Manifest): Label {
  return { path, tags }
}
