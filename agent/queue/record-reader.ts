import { encodeBody } from '../../protocol/body.ts'
import { equalBytes } from '../../protocol/ids.ts'
import type { DataManifest, Manifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'
import { accept, refuse, type Verdict } from '../../protocol/refusal.ts'
import { checkRecord, type CheckedRecord, type KeyRing } from '../../protocol/verify.ts'
import { envelopeText, recordOf } from './envelope-text.ts'
import { placeText, type IndexEntry, type Place } from './index-entry.ts'
import type { SegmentLog } from './segment-log.ts'

/** The bytes that a data record was made of, if they can still be found somewhere; hash and length are checked after. */
export type FindBytes = (manifest: DataManifest) => Promise<Uint8Array | undefined>

/** A record as it is to be sent. */
export type ReadRecord =
  | { readonly is: 'whole'; readonly bytes: Uint8Array }
  /** Its body is gone: the signed envelope alone says what was lost. */
  | { readonly is: 'withheld'; readonly bytes: Uint8Array }
  /** The same, and its file is still looked for. */
  | { readonly is: 'awaited' }
  /** Not even that is left of it. */
  | { readonly is: 'damaged'; readonly why: string }

/** How often in a row a record must be unreadable before that is believed. */
const believedFailures = 3

/** Reads records out of the queue. None leaves it that is not what was sealed, signature and body. */
export class RecordReader {
  readonly #segments: Pick<SegmentLog, 'read'>
  readonly #own: KeyRing
  readonly #findBytes: FindBytes
  readonly #isAwaited: () => boolean
  readonly #unreadable = new Map<string, number>()

  /** While `isAwaited`, bytes that are not found may still be. */
  constructor(
    segments: Pick<SegmentLog, 'read'>,
    own: KeyRing,
    findBytes: FindBytes,
    isAwaited: () => boolean,
  ) {
    this.#segments = segments
    this.#own = own
    this.#findBytes = findBytes
    this.#isAwaited = isAwaited
  }

  /** Reads the record into `into`, or makes it again. Throws where the disk fails, and that is not yet believed. */
  async read(entry: IndexEntry, into: Uint8Array): Promise<ReadRecord> {
    const stored = await this.#readStored(entry, into)
    if (stored.ok) return { is: 'whole', bytes: stored.value.frame.bytes }
    const kept = this.#checkEnvelope(entry)
    if (!kept.ok) return { is: 'damaged', why: stored.refusal }
    const { manifest } = kept.value
    if (manifest.kind !== 'data') return { is: 'whole', bytes: kept.value.frame.bytes }
    // Asked before, so that a look that ends meanwhile is not missed.
    const isAwaited = this.#isAwaited()
    const made = await this.#makeAgain(manifest, entry)
    if (made) return { is: 'whole', bytes: made }
    return isAwaited ? { is: 'awaited' } : { is: 'withheld', bytes: kept.value.frame.bytes }
  }

  /** The envelope of a record whose entry an older agent wrote; undefined where it is damaged. */
  async envelopeOf(entry: IndexEntry): Promise<string | undefined> {
    const stored = await this.#readStored(entry, Buffer.allocUnsafe(entry.extent?.length ?? 0))
    return stored.ok ? envelopeText(stored.value.frame) : undefined
  }

  async #readStored(entry: IndexEntry, into: Uint8Array): Promise<Verdict<CheckedRecord>> {
    const isRead = entry.extent !== null && (await this.#readOrCount(entry, into))
    return isRead ? this.#check(into.subarray(0, entry.extent.length), entry) : refuse('RECORD_MALFORMED')
  }

  #check(bytes: Uint8Array, entry: IndexEntry): Verdict<CheckedRecord> {
    const scan = scanRecord(bytes)
    if (scan.is !== 'whole' || scan.end !== bytes.length) return refuse('RECORD_MALFORMED')
    const checked = checkRecord(scan.frame, this.#own)
    if (!checked.ok) return checked
    const { manifest, digest } = checked.value
    const isThisOne = isAt(manifest, entry) && equalBytes(digest, entry.digest)
    return isThisOne ? accept(checked.value) : refuse('SIGNATURE_WRONG')
  }

  #checkEnvelope(entry: IndexEntry): Verdict<CheckedRecord> {
    if (entry.envelope === undefined) return refuse('ENVELOPE_MALFORMED')
    return this.#check(recordOf(entry.envelope, null), entry)
  }

  /** The same bytes always give the same body, so a record whose bytes are still in their file can be made again. */
  async #makeAgain(manifest: DataManifest, { envelope }: IndexEntry): Promise<Uint8Array | undefined> {
    const content = envelope === undefined ? undefined : await this.#findBytes(manifest)
    if (envelope === undefined || !content || content.length !== manifest.length) return undefined
    const encoded = await encodeBody(content)
    if (!equalBytes(encoded.bodySha256, manifest.bodySha256)) return undefined
    return recordOf(envelope, encoded.body)
  }

  /** A disk that fails is tried again; one bad sector must not hold up for ever what stands behind it. */
  async #readOrCount(entry: IndexEntry, into: Uint8Array): Promise<boolean> {
    try {
      return entry.extent !== null && (await this.#segments.read(entry.extent, into))
    } catch (cause) {
      const place = placeText(entry)
      const failures = (this.#unreadable.get(place) ?? 0) + 1
      this.#unreadable.set(place, failures)
      if (failures < believedFailures) throw cause
      this.#unreadable.delete(place)
      return false
    }
  }
}

function isAt(manifest: Manifest, { epoch, seq }: Place): boolean {
  return manifest.epoch === epoch && manifest.seq === seq
}
