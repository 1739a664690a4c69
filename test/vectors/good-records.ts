import { placeAfter } from '../../protocol/chain.ts'
import type { Sequence, Epoch } from '../../protocol/ids.ts'
import { lossReasons, type Manifest } from '../../protocol/manifest.ts'
import { quad, testKeys } from './keys.ts'
import { assemble, byteString, payloadWith } from './raw.ts'
import {
  closeOf,
  dataOf,
  firstPlace,
  lines,
  linesFrame,
  lossOf,
  offsetOf,
  text,
  time,
  zstdOf,
} from './samples.ts'

export interface GoodRecord {
  readonly id: string
  readonly why: string
  readonly manifest: Manifest
  readonly body: Uint8Array | null
  readonly content: Uint8Array | null
}

const maxInteger = Number.MAX_SAFE_INTEGER
const prev = Buffer.alloc(32, 0x9d)

function data(id: string, why: string, changes: Parameters<typeof dataOf>[1] = {}): GoodRecord {
  return { id, why, manifest: dataOf(text, changes), body: text, content: text }
}

function without(id: string, why: string, manifest: Manifest): GoodRecord {
  return { id, why, manifest, body: null, content: null }
}

function zstd(id: string, why: string, content: Uint8Array, frame: Uint8Array): GoodRecord {
  return { id, why, manifest: zstdOf(content, frame), body: frame, content }
}

const hundredOfA = Buffer.alloc(100, 'a')

const kinds: readonly GoodRecord[] = [
  data('data-identity', 'bytes of a log, as they stand'),
  zstd('data-zstd', 'bytes of a log, compressed', lines, linesFrame),
  zstd(
    'data-zstd-run',
    'a frame written by hand: single segment, content size 100, one last block that is a run of 0x61',
    hundredOfA,
    Buffer.from('28b52ffd2064 230300 61'.replaceAll(' ', ''), 'hex'),
  ),
  zstd(
    'data-zstd-widest-window',
    'a window of 8 MiB, the largest allowed, and no content size',
    hundredOfA,
    Buffer.from('28b52ffd0068 230300 61'.replaceAll(' ', ''), 'hex'),
  ),
  {
    ...data('data-withheld', 'the drone had to drop the body; what it was stays signed'),
    body: null,
    content: null,
  },
  without('close', 'the file ended: its length and hash', closeOf(text)),
  without('close-empty', 'a file that never held a byte', closeOf(new Uint8Array(0))),
  without('loss-unknown-length', 'nobody knows how many bytes were there', lossOf({ length: null })),
  ...lossReasons.map((reason) => without(`loss-${reason}`, `bytes lost: ${reason}`, lossOf({ reason }))),
]

const labelled = (id: string, why: string, path: string | Uint8Array) => data(`path-${id}`, why, { path })

const labels: readonly GoodRecord[] = [
  labelled('utf-8', 'text that is not ASCII', '/var/log/ж/飛行-🚁.log'),
  labelled('bytes', 'a name that is not UTF-8 is a byte string', Buffer.from('2f6c6f672fff', 'hex')),
  labelled('bytes-surrogate', 'an encoded surrogate is not UTF-8', Buffer.from('2feda080', 'hex')),
  labelled('newline', 'a newline is a byte like others: escape it when showing it', '/log/a\nb.log'),
  labelled('controls', 'terminal controls too', '/log/\u001b[2J\u0007\u007f.log'),
  labelled('dots', 'a path is a label and is never opened', '/var/log/../../../etc/passwd'),
  labelled('relative', 'nor need it be absolute', '../x'),
  labelled('name-255', 'the longest name that a file has on Linux', `/log/${'n'.repeat(255)}`),
  labelled('longest', '2048 bytes, the most allowed', `/${'p'.repeat(2047)}`),
  labelled('byte-order-mark', 'U+FEFF at the start is kept', '\uFEFF/log'),
  data('tags-none', 'an empty map', { tags: new Map() }),
  data('tags-strange', 'values may hold anything that is UTF-8', {
    tags: new Map([
      ['b', '\uFEFFline\nline\0'],
      ['aa', ''],
      ['é', '🚁'],
    ]),
  }),
  data('tags-longest', 'exactly 1024 bytes encoded, a name of 64 bytes', {
    tags: new Map([
      ['n'.repeat(64), 'v'.repeat(900)],
      ['t', 'v'.repeat(50)],
    ]),
  }),
]

const numbers: readonly GoodRecord[] = [
  data('seq-later', 'a record that continues a chain', { seq: 70_000 as Sequence, prev: prev as never }),
  data('numbers-largest', 'all numbers at 2^53 - 1, or as near as they may come', {
    epoch: maxInteger as Epoch,
    seq: maxInteger as Sequence,
    prev: prev as never,
    time: { ...time, wallMs: maxInteger, monotonicMs: maxInteger },
    offset: offsetOf(maxInteger - text.length),
  }),
  data('clock-unset', 'a drone without a clock says so', {
    time: { ...time, wallMs: 0, monotonicMs: 0, clockState: 'unset' },
  }),
  data('clock-in-1900', 'a clock that is far off is no reason to refuse', {
    time: { ...time, wallMs: 1, clockState: 'set' },
  }),
  { ...data('other-device', 'another device with its own key', placeAfter(firstPlace(quad))) },
]

export const goodRecords: readonly GoodRecord[] = [...kinds, ...labels, ...numbers]

export function goodRecordHex({ manifest, body }: Pick<GoodRecord, 'manifest' | 'body'>): string {
  const { signer } = manifest.device === quad ? testKeys.quad : testKeys.hexa
  const bodyItem = body ? byteString(body) : 'f6'
  return assemble(signer, { payload: payloadWith(manifest), body: bodyItem })
}
