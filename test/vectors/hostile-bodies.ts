import { sha256, type Digest } from '../../protocol/ids.ts'
import type { DataManifest } from '../../protocol/manifest.ts'
import { record, refusedAs, type HostileRecord } from './hostile-record.ts'
import { byteString, bytesOf, payloadWith, withBitFlipped } from './raw.ts'
import { closeOf, dataOf, lossOf, text, zstdOf } from './samples.ts'

export function wrongBodies(): HostileRecord[] {
  const unexpected = refusedAs('BODY_UNEXPECTED')
  const length = refusedAs('BODY_LENGTH_WRONG')
  const hash = refusedAs('BODY_HASH_WRONG')
  return [
    unexpected('body-of-a-loss', 'a loss has no body', record({ payload: payloadWith(lossOf()) })),
    unexpected(
      'body-of-a-close',
      'nor has a close, not even an empty one',
      record({ payload: payloadWith(closeOf(text)), body: '40' }),
    ),
    length('body-empty', 'empty is not withheld', record({ body: '40' })),
    length('body-shorter', 'a byte too few', record({ body: byteString(text.subarray(1)) })),
    length(
      'body-longer',
      'a byte too many',
      record({ body: byteString(Buffer.concat([text, text.subarray(0, 1)])) }),
    ),
    hash('body-bit', 'one bit flipped', record({ body: byteString(withBitFlipped(text, 7)) })),
    hash(
      'body-of-another-record',
      'as long, but others',
      record({ body: byteString(Buffer.alloc(text.length, 'x')) }),
    ),
  ]
}

const zstdMagic = '28b52ffd'
const run = '230300 61'
const hundredOfA = Buffer.alloc(100, 'a')

function zstdRecord(frame: Uint8Array, changes: Partial<DataManifest> = {}): string {
  return record({ payload: payloadWith(zstdOf(hundredOfA, frame, changes)), body: byteString(frame) })
}

export function wrongFrames(): HostileRecord[] {
  const undecodable = refusedAs('BODY_UNDECODABLE')
  const frame = (id: string, why: string, hex: string, changes: Partial<DataManifest> = {}) =>
    undecodable(`zstd-${id}`, why, zstdRecord(bytesOf(hex), changes))
  const good = `${zstdMagic} 2064 ${run}`
  const half = `${zstdMagic} 2032 930100 61`
  const bomb = `${zstdMagic} a000000040 ${'020010 61'.repeat(15)} 030010 61`
  return [
    frame('garbage', 'no frame at all', '00'.repeat(20)),
    frame('cut', 'the last byte is missing', good.slice(0, -2)),
    frame('header-only', 'a frame without blocks', `${zstdMagic} 2064`),
    frame('trailing', 'a byte after the frame', `${good} 00`),
    frame('two-frames', 'two frames that together give what was signed', `${half} ${half}`),
    frame('empty-frame-after', 'an empty frame after the frame', `${good} ${zstdMagic} 2000 010000`),
    frame('empty-frame-before', 'an empty frame before the frame', `${zstdMagic} 2000 010000 ${good}`),
    frame('skippable-after', 'a skippable frame after the frame', `${good} 502a4d18 00000000`),
    frame(
      'skippable-only',
      'a skippable frame, which has no content',
      '502a4d18 0c000000 00000000 00000000 00000000',
    ),
    frame('skippable-before', 'a skippable frame before the frame', `502a4d18 00000000 ${good}`),
    frame('one-byte-more', 'inflates to 101 bytes where 100 are signed', `${zstdMagic} 2065 2b0300 61`),
    frame('bomb', 'claims 1 GiB and inflates to 2 MiB where 100 bytes are signed', bomb),
    frame('window-16-mib', 'wants a window of 16 MiB', `${zstdMagic} 0070 ${run}`),
    frame('window-2-gib', 'wants a window of 2 GiB', `${zstdMagic} 00a8 ${run}`),
    frame('dictionary', 'wants a dictionary', `${zstdMagic} 2101 64 ${run}`),
    frame('reserved-bit', 'the reserved bit of the frame header', `${zstdMagic} 2864 ${run}`),
    frame('checksum', 'a wrong checksum', `${zstdMagic} 2464 ${run} 00000000`),
    frame('size-wrong', 'the content is not as long as the frame header says', `${zstdMagic} 2063 ${run}`),
  ]
}

export function wrongContents(): HostileRecord[] {
  const frame = bytesOf(`${zstdMagic} 2064 ${run}`)
  const otherHash = sha256(Buffer.alloc(100, 'b'))
  return [
    refusedAs('CONTENT_LENGTH_WRONG')(
      'zstd-one-byte-less',
      'inflates to 100 bytes where 101 are signed',
      zstdRecord(frame, { length: 101 }),
    ),
    refusedAs('CONTENT_HASH_WRONG')(
      'zstd-other-content',
      'inflates to other bytes than are signed',
      zstdRecord(frame, { sha256: otherHash }),
    ),
    refusedAs('CONTENT_HASH_WRONG')(
      'identity-other-content',
      'as it stands, but the two signed hashes differ',
      record({ payload: payloadWith(dataOf(text, { sha256: Buffer.alloc(32, 1) as Uint8Array as Digest })) }),
    ),
  ]
}
