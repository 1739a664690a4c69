import type { ChainHead } from '../../protocol/chain.ts'
import { decodeManifest, type Manifest } from '../../protocol/manifest.ts'
import { scanRecord, type RecordFrame } from '../../protocol/record.ts'
import type { Clock } from '../clock.ts'
import type { Arrival } from './arrival.ts'
import { placeText, recordKey, type IndexEntry, type Place } from './index-entry.ts'
import type { IndexStore } from './index-store.ts'
import type { Intake } from './intake.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { Outflow } from './outflow.ts'
import type { RecordReader } from './record-reader.ts'
import { isSuperseded } from './shipped.ts'

interface Parts {
  readonly index: IndexStore
  readonly reader: RecordReader
  readonly intake: Intake
  readonly outflow: Outflow
  readonly clock: Clock
  readonly resumePoints: OpenedQueue['resumePoints']
}

/** Who waits for it waits no longer: meanwhile what is delivered may make room on a full disk. */
const patienceMs = 3000

/**
 * Seals anew what records hold whose place another record has at the server: the chain was continued from a past state of it, as
 * of a disk that was put back.
 */
export class SealingAnew {
  readonly #parts: Parts
  /** Where the chain ended when a record was last sealed anew. */
  #to: Place | undefined
  /** By place. */
  readonly #underWay = new Map<string, Promise<boolean>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Who waits for what is before this place waits for this one: what was sealed anew stands behind it. */
  endOf(end: Place): Place {
    return this.#to && placeText(this.#to) > placeText(end) ? this.#to : end
  }

  /** Once the intake is closed: what was stored is forgotten in its old place. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#underWay.values())
  }

  /** As Queue.sealAnew. */
  async take(entry: IndexEntry, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    const place = placeText(entry)
    const work = this.#underWay.get(place) ?? this.#take(entry).finally(() => this.#underWay.delete(place))
    this.#underWay.set(place, work)
    const done = new AbortController()
    const patience = this.#parts.clock.sleep(patienceMs, AbortSignal.any([signal, done.signal]))
    const isDone = await Promise.race([work, patience.then(() => false)])
    done.abort()
    return isDone
  }

  /** Goes on though nobody waits for it any more: a record that was given up half stored would end the intake. */
  async #take(entry: IndexEntry): Promise<boolean> {
    const { index, reader, intake, outflow } = this.#parts
    // It was under way once more when the one before was done.
    if ((await index.get(recordKey(entry))) === undefined) return true
    intake.leave(entry.epoch)
    const read = await reader.read(entry, Buffer.allocUnsafe(entry.extent?.length ?? 0))
    if (read.is === 'awaited') return false
    if (read.is === 'damaged') await outflow.setAside([{ ...entry, why: read.why }])
    else {
      const { frame, manifest } = contentOf(read.bytes)
      const isOld = await this.#isSuperseded(manifest)
      if (!isOld && !(await intake.append(arrivalOf(manifest, frame, entry), untilClosed))) return false
      this.#to = endOf(intake.head)
      await outflow.forget([], [], [entry], () => endOf(intake.head))
    }
    return true
  }

  /** Whether its stream has something else in place of it by now, as far as that is known. */
  async #isSuperseded(manifest: Manifest): Promise<boolean> {
    const { index, resumePoints } = this.#parts
    if (manifest.kind === 'loss') return false
    if (manifest.kind === 'data') return isSuperseded(index, manifest)
    const closed = resumePoints.get(manifest.stream)?.closed
    return closed !== undefined && closed.length !== manifest.length
  }
}

/** The intake gives up what waits when it closes. */
const untilClosed = new AbortController().signal

function endOf({ epoch, next }: ChainHead): Place {
  return { epoch, seq: next }
}

function contentOf(bytes: Uint8Array): { readonly frame: RecordFrame; readonly manifest: Manifest } {
  const scan = scanRecord(bytes)
  const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
  if (scan.is !== 'whole' || !manifest?.ok) throw new Error('a record that was read was checked')
  return { frame: scan.frame, manifest: manifest.value }
}

/** Its stream goes on where it is. */
function arrivalOf(
  { stream, path, tags, ...held }: Manifest,
  { body }: RecordFrame,
  { lane, extent }: IndexEntry,
): Arrival {
  const label = { stream, path, tags }
  const common = { label, lane, resume: 'stays', replaces: held.kind } as const
  if (held.kind !== 'data') return { ...common, ...held }
  const { offset, length, sha256, encoding, bodySha256 } = held
  if (!body) return { ...common, kind: 'loss', offset, length, reason: extent ? 'unreadable' : 'evicted' }
  return { ...common, kind: 'data', offset, body: { length, sha256, encoding, body, bodySha256 } }
}
