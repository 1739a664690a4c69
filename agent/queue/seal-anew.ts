import type { Manifest } from '../../protocol/manifest.ts'
import type { Clock } from '../clock.ts'
import { endAgain, endBehind, isWaitingAt, outrunEnds } from './end-again.ts'
import { contentOf, heldAnew } from './held-anew.ts'
import { decodeEntry, endOf, placeText, recordKey, type IndexEntry, type Place } from './index-entry.ts'
import type { Intake } from './intake.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { Outflow } from './outflow.ts'
import type { RecordReader } from './record-reader.ts'

interface Parts {
  readonly opened: Pick<OpenedQueue, 'index' | 'longest'>
  readonly reader: RecordReader
  readonly intake: Intake
  readonly outflow: Outflow
  readonly clock: Clock
}

/** Who waits for it waits no longer: meanwhile what is delivered may make room on a full disk. */
const patienceMs = 3000

/**
 * Seals anew what records hold whose place another record has at the server: the chain was continued from a past state of it, as
 * of a disk that was put back.
 */
export class SealingAnew {
  readonly #parts: Parts
  /** By place. */
  readonly #underWay = new Map<string, Promise<boolean>>()
  /** Places of records that have their receipts, and are about to be forgotten. */
  readonly #leaving = new Set<string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Who waits for what is before this place waits for this one: what was sealed anew stands behind it. */
  endOf(end: Place): Place {
    const { anewTo } = this.#parts.intake
    return anewTo && placeText(anewTo) > placeText(end) ? anewTo : end
  }

  /** Once the intake is closed. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#underWay.values())
  }

  /** As Queue.sealAnew. */
  async take(entry: IndexEntry, signal: AbortSignal): Promise<boolean> {
    return !signal.aborted && this.#inTime(entry, () => this.#take(entry), signal)
  }

  /**
   * Forgets records for a receipt. Where one is the end of a file, and parts of that were sealed anew behind it, the end is said
   * again before: the server would take them for a change. What is sealed behind it from now on brings the end itself.
   */
  async whileForgotten(received: readonly IndexEntry[], forget: () => Promise<void>): Promise<void> {
    const places = received.map(placeText)
    for (const place of places) this.#leaving.add(place)
    try {
      for (const entry of await outrunEnds(received, this.#parts.opened.index))
        await this.#inTime(entry, () => this.#sayAgain(entry), untilClosed)
      await forget()
    } finally {
      for (const place of places) this.#leaving.delete(place)
    }
  }

  readonly #isWaiting = async (place: Place): Promise<boolean> =>
    !this.#leaving.has(placeText(place)) && isWaitingAt(this.#parts.opened.index, place)

  /** Waits for it, but not for long; it goes on though nobody waits any more. */
  async #inTime(entry: IndexEntry, begin: () => Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    const place = placeText(entry)
    const work = this.#underWay.get(place) ?? begin().finally(() => this.#underWay.delete(place))
    this.#underWay.set(place, work)
    const done = new AbortController()
    const patience = this.#parts.clock.sleep(patienceMs, AbortSignal.any([signal, done.signal]))
    const isDone = await Promise.race([work, patience.then(() => false)])
    done.abort()
    return isDone
  }

  async #sayAgain(entry: IndexEntry): Promise<boolean> {
    const { opened, reader, intake } = this.#parts
    const read = await reader.read(entry, Buffer.allocUnsafe(entry.extent?.length ?? 0))
    if (read.is === 'awaited' || read.is === 'damaged') return false
    const taken: Promise<boolean>[] = []
    await intake.between(async () => {
      const again = await endAgain(contentOf(read.bytes).manifest, entry, opened.index)
      if (again) taken.push(intake.append(again, untilClosed))
    })
    return (await Promise.all(taken)).every(Boolean)
  }

  /** Goes on though nobody waits for it any more: a record that was given up half stored would end the intake. */
  async #take(known: IndexEntry): Promise<boolean> {
    const { opened, reader, intake, outflow } = this.#parts
    const entry = decodeEntry(recordKey(known), (await opened.index.get(recordKey(known))) ?? '')
    // It was under way once more when the one before was done.
    if (!entry) return true
    intake.leave(entry.epoch)
    const read = await reader.read(entry, Buffer.allocUnsafe(entry.extent?.length ?? 0))
    if (read.is === 'awaited') return false
    if (read.is === 'damaged') {
      await outflow.setAside([{ ...entry, why: read.why }])
      return true
    }
    const taken: Promise<boolean>[] = []
    // Nothing that is newer comes in between.
    await intake.between(async () => {
      for (const arrival of await heldAnew(read.bytes, entry, opened, this.#isWaiting))
        taken.push(intake.append(arrival, untilClosed))
    })
    if (taken.length === 0) await this.#drop(entry)
    const isTaken = (await Promise.all(taken)).every(Boolean)
    return isTaken && this.#sayEndBehind(contentOf(read.bytes).manifest, entry)
  }

  /** The end that still waited when it was asked for may have had its receipt before anything stood behind it. */
  async #sayEndBehind(manifest: Manifest, entry: IndexEntry): Promise<boolean> {
    const { opened, intake } = this.#parts
    const taken: Promise<boolean>[] = []
    await intake.between(async () => {
      const sealed = { manifest, entry, isComing: false, isWaiting: this.#isWaiting }
      const end = await endBehind(sealed, opened.index)
      if (end) taken.push(intake.append(end, untilClosed))
    })
    return (await Promise.all(taken)).every(Boolean)
  }

  /** What is newer may not be sent yet: who waits for this one waits for that. */
  #drop(entry: IndexEntry): Promise<void> {
    const { intake, outflow } = this.#parts
    intake.noteAnew()
    return outflow.drop(entry, endOf(intake.head))
  }
}

/** The intake gives up what waits when it closes. */
const untilClosed = new AbortController().signal
