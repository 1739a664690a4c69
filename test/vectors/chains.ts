import { headAfter, placeAfter, type ChainHead } from '../../protocol/chain.ts'
import { sha256, type DeviceId } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { goodRecordHex } from './good-records.ts'
import { quad } from './keys.ts'
import { hexOf, payloadWith } from './raw.ts'
import { closeOf, dataOf, firstPlace, lines, linesFrame, offsetOf, text, zstdOf } from './samples.ts'

/** A record in a batch: its bytes in hex, and its digest. */
export interface Link {
  readonly hex: string
  readonly digest: string
}

export interface Batch {
  readonly id: string
  readonly why: string
  readonly hex: string
  readonly expect: {
    /** The digest of each record before the batch's end, or before the place where it is wrong. */
    readonly digests: readonly string[]
    readonly end: 'whole' | 'malformed' | 'tooLarge' | 'cut'
    /** What the server answers for each record, where nothing else of this device is stored. */
    readonly outcomes?: readonly string[]
  }
}

function linkOf(manifest: Manifest, body: Uint8Array | null): Link {
  return { hex: goodRecordHex({ manifest, body }), digest: hexOf(sha256(payloadWith(manifest))) }
}

type Step = (head: ChainHead) => { readonly manifest: Manifest; readonly body: Uint8Array | null }

const first: Step = (head) => ({ manifest: dataOf(text, placeAfter(head)), body: text })
const second: Step = (head) => {
  const place = { ...placeAfter(head), offset: offsetOf(text.length) }
  return { manifest: zstdOf(lines, linesFrame, place), body: linesFrame }
}
const rewritten: Step = (head) => {
  const header = Buffer.from('7')
  return { manifest: dataOf(header, placeAfter(head)), body: header }
}
const last: Step = (head) => {
  const file = Buffer.concat([Buffer.from('7'), text.subarray(1), lines])
  return { manifest: closeOf(file, placeAfter(head)), body: null }
}

function chainOf(device: DeviceId, steps: readonly Step[]): readonly Link[] {
  let head = firstPlace(device)
  return steps.map((step) => {
    const { manifest, body } = step(head)
    head = headAfter(head, sha256(payloadWith(manifest)))
    return linkOf(manifest, body)
  })
}

const chain = chainOf(quad, [first, second, rewritten, last])
const hexOfAll = (links: readonly Link[]): string => links.map((link) => link.hex).join('')
const digestsOf = (links: readonly Link[]): readonly string[] => links.map((link) => link.digest)

const [one, two] = chain
if (!one || !two) throw new Error('the chain is too short')
const fork = linkOf(dataOf(lines, placeAfter(firstPlace(quad))), lines)
const withheld: Link = {
  hex: goodRecordHex({ manifest: first(firstPlace(quad)).manifest, body: null }),
  digest: one.digest,
}
const ofHexa = chainOf('hexa-7' as DeviceId, [first])[0] ?? one

function batch(
  id: string,
  why: string,
  links: readonly Link[],
  end: Batch['expect']['end'] = 'whole',
  after = '',
): Batch {
  return { id, why, hex: hexOfAll(links) + after, expect: { digests: digestsOf(links), end } }
}

function answered(made: Batch, outcomes: readonly string[]): Batch {
  return { ...made, expect: { ...made.expect, outcomes } }
}

const stored = 'stored'

export const batches: readonly Batch[] = [
  batch(
    'empty',
    'a CBOR Sequence may hold nothing; a server refuses an empty batch or answers for no record',
    [],
  ),
  answered(
    batch(
      'chain',
      'two pieces of a file, a byte of it written again (the content starts with 7), and its end',
      chain,
    ),
    [stored, stored, stored, stored],
  ),
  answered(batch('duplicate', 'the same record twice is one record', [one, one]), [stored, 'duplicate']),
  answered(
    batch('fork', 'two manifests for one place: the first stays, the other is kept apart', [one, fork]),
    [stored, 'forked'],
  ),
  answered(batch('gap', 'a place is missing: stored, and the gap is seen', [two]), [stored]),
  answered(batch('withheld', 'a record without its body', [withheld]), ['storedWithoutBody']),
  answered(
    batch(
      'withheld-then-whole',
      'the body may come later, for the same digest; before it came nothing is safe',
      [withheld, one],
    ),
    ['storedWithoutBody', stored],
  ),
  answered(
    batch('withheld-twice', 'no duplicate: that word would say that the body is stored', [
      withheld,
      withheld,
    ]),
    ['storedWithoutBody', 'storedWithoutBody'],
  ),
  answered(batch('whole-then-withheld', 'the body is stored and stays', [one, withheld]), [
    stored,
    'duplicate',
  ]),
  answered(batch('two-devices', 'a batch is of one device: that of its first record', [one, ofHexa]), [
    stored,
    'refused DEVICE_MIXED',
  ]),
  batch('garbage-after', 'a byte that starts no record', [one], 'malformed', '00'),
  batch('garbage-only', 'a web page', [], 'malformed', hexOf(Buffer.from('<!doctype html>'))),
  batch('cut-in-opening', 'ends within the tag', [one], 'cut', 'da4c6f'),
  batch('cut-in-body', 'ends one byte too early', [one], 'cut', two.hex.slice(0, -2)),
  batch(
    'too-large-after',
    'a manifest that claims 4097 bytes, after a good record',
    [one],
    'tooLarge',
    two.hex.slice(0, 82) + '591001',
  ),
]
