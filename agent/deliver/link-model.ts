import { LastWhile, type Receipted } from './last-while.ts'
import { LeastRoundTrip } from './least-round-trip.ts'
import { MostRate } from './most-rate.ts'
import { PromptReceipts } from './prompt-receipts.ts'
import { UnderWay } from './under-way.ts'
import { isOfOthers, type Upload } from './upload.ts'

/**
 * What the link carries, learnt from receipts as BBR (RFC draft-cardwell-iccrg-bbr) learns from acknowledgements: the
 * rate is the most that was delivered over any of the last rounds, the round trip the least that was seen. From the two
 * follows how much may be under way: enough to fill the link, and a little more than that, so that what is urgent never
 * stands behind what is not. Pure; times are monotonic milliseconds, given from outside.
 */
export class LinkModel {
  readonly #mostRate = new MostRate()
  readonly #leastRoundTrip = new LeastRoundTrip()
  readonly #lastWhile = new LastWhile()
  /** What the last exchange without a body took; 0 before the first. */
  #exchangeMs = 0
  readonly #underWay = new UnderWay()
  /** Of all uploads that ever were. */
  #deliveredBytes = 0
  #deliveredMs = 0
  /** Delivered when the link was idle last: the round that began then has to fill it first. */
  #idleBytes = 0
  /** The first receipt of all, and the bytes that it was for. */
  #first: Readonly<Record<'bytes' | 'ms' | 'leftMs' | 'beganMs', number>> | undefined
  /** When the last byte of the newest delivered upload left. */
  #deliveredLeftMs = 0
  /** Left and not receipted, of all uploads. */
  #outstandingBytes = 0
  /** Estimated to stand before the narrowest place of the way, at `#backlogMs`. */
  #backlogBytes = 0
  #backlogMs = 0
  /** For how long nothing stood there, since bytes left last. */
  #idleMs = 0
  /** Rounds in a row in which the rate did not grow. */
  #plateaus = 0
  /** Delivered when the present round began: an upload that began later ends it. */
  #roundBytes = 0
  readonly #prompt = new PromptReceipts()
  /**
   * Whatever stands before the narrow place is part of every round trip that is seen. Now and then it is let drain, and
   * an upload is sent without any slack, which shows the round trip as it is.
   */
  #isProbing = false
  #probedMs = -Infinity

  /** Bytes a millisecond; undefined before the first receipt. */
  get rate(): number | undefined {
    return this.#mostRate.value
  }

  /** 0 before the first receipt. */
  get roundTripMs(): number {
    return this.#leastRoundTrip.ms ?? 0
  }

  /** Something without a body came back: until then the round trip is that of whole requests. */
  get hasExchanged(): boolean {
    return this.#exchangeMs > 0
  }

  /** What is under way on a link that is just filled: rate × round trip. */
  get pipeBytes(): number {
    return (this.rate ?? 0) * this.roundTripMs
  }

  /** How far ahead of the rate an upload may run. It bridges pauses of timers, and finds out when the link got faster. */
  get slackBytes(): number {
    const { rate } = this
    if (rate === undefined) return Infinity
    const share = this.isGrowing ? 1 / 2 : 1 / 4
    return Math.max(leastSlackBytes, rate * Math.max(leastSlackMs, this.roundTripMs * share))
  }

  /** Until two rounds in a row brought no more: so far nothing says that the link is full. */
  get isGrowing(): boolean {
    return this.#plateaus < believedPlateaus
  }

  /**
   * No more may leave, however slowly, until a receipt comes. A receipt is for a whole upload, so the next of them has to
   * leave, and what fills the link twice besides. It bounds what stands in buffers while the rate is taken for too high.
   */
  get isFull(): boolean {
    const { nextBytes, bytes, isAnyAwaited } = this.#underWay
    return isAnyAwaited && bytes >= nextBytes + this.#aheadBytes(nextBytes)
  }

  #aheadBytes(nextBytes: number): number {
    const { rate } = this
    if (rate === undefined) return Math.max(unknownAheadBytes, nextBytes / 2)
    return 2 * this.pipeBytes + rate * aheadMs + leastSlackBytes
  }

  /** An upload of so many bytes that begins now. */
  begin(wholeBytes: number, nowMs: number): Upload {
    const isDue = !this.isGrowing && nowMs - this.#probedMs > probeEveryMs
    if (isDue && !this.#isProbing) this.#drainFor(this.pipeBytes * drainedShare)
    const isAlone = this.#outstandingBytes === 0 || this.#deliveredBytes === 0
    if (isAlone) this.#countFrom(nowMs)
    const upload: Upload = {
      wholeBytes,
      bytes: 0,
      isStarved: false,
      idleMs: 0,
      isAlone,
      isProbe: this.#isProbing,
      beganMs: nowMs,
      deliveredBytes: this.#deliveredBytes,
      deliveredMs: isAlone ? nowMs : this.#deliveredMs,
      leftBeforeMs: isAlone ? nowMs : this.#deliveredLeftMs,
      leftMs: nowMs,
      leftAt: this.#underWay.leftBytes,
    }
    this.#underWay.begin(upload)
    return upload
  }

  /** The first of it has left: until then it may have waited for a connection, which says nothing about the rate. */
  began(upload: Upload, nowMs: number): void {
    if (!upload.isAlone) return
    upload.deliveredMs = nowMs
    upload.leftBeforeMs = nowMs
    if (upload.deliveredBytes === this.#deliveredBytes) this.#countFrom(nowMs)
  }

  /** The link was idle: that is no part of any round. */
  #countFrom(nowMs: number): void {
    this.#idleBytes = this.#deliveredBytes
    this.#deliveredMs = nowMs
    this.#deliveredLeftMs = nowMs
    this.#lastWhile.begin(this.#receiptedNow(this.#underWay.leftBytes, nowMs))
  }

  /** So many bytes of it left. */
  left(upload: Upload, bytes: number, nowMs: number): void {
    this.#drain(nowMs)
    // The link waited for this drone, not the other way round.
    if (bytes > 0) upload.idleMs += Math.min(this.#idleMs, nowMs - upload.beganMs)
    if (bytes > 0) this.#idleMs = 0
    this.#underWay.left(upload, bytes)
    upload.leftMs = nowMs
    this.#outstandingBytes += bytes
    this.#backlogBytes += bytes
  }

  /** How long to wait until more may leave; 0 when some may now. */
  waitMs(nowMs: number): number {
    const { rate } = this
    if (rate === undefined) return 0
    this.#drain(nowMs)
    const surplus = this.#backlogBytes - (this.#isProbing ? 0 : this.slackBytes)
    return surplus <= 0 ? 0 : Math.max(1, surplus / this.#paceRate)
  }

  /** What an upload of which everything left waits for: its receipt came. */
  receipted(upload: Upload, nowMs: number): void {
    this.#drain(nowMs)
    this.#underWay.arrived(upload)
    this.#outstandingBytes -= upload.bytes
    upload.isStarved ||= !this.isGrowing && upload.idleMs > idleShare * (upload.leftMs - upload.beganMs)
    this.#deliveredBytes += upload.bytes
    const knownMs = this.roundTripMs
    this.#leastRoundTrip.note(nowMs - upload.leftMs, nowMs)
    if (upload.isProbe && this.#isProbing) this.#endProbe(nowMs)
    // Half of what stood was let drain, and there was more: once again.
    if (upload.isProbe && this.roundTripMs < knownMs * stillShrinking) this.#probedMs = -Infinity
    const rates = [
      this.#rateOver(upload, nowMs),
      this.#rateOfLate(upload, nowMs),
      this.#firstRate(upload, nowMs),
    ]
    this.#noteRate(Math.max(...rates), upload, nowMs)
    this.#deliveredMs = nowMs
    this.#deliveredLeftMs = upload.leftMs
    // Its last byte passed the narrow place a round trip ago: what left behind it has had that long to pass.
    const standing = Math.max(0, this.#underWay.bytesBehind(upload) - this.pipeBytes)
    if (this.#isProbing) return
    this.#backlogBytes = standing
    if (upload.isStarved || upload.isProbe || this.isGrowing) return
    if (this.#prompt.note(standing, this.slackBytes)) this.#plateaus = 0
  }

  /** Bytes a millisecond over a round: from what had a receipt when it began to its own. */
  #rateOver(upload: Upload, nowMs: number): number {
    const sentMs = upload.leftMs - upload.leftBeforeMs
    const sinceMs = Math.max(nowMs - upload.deliveredMs, sentMs, this.roundTripMs, 0.1)
    return (this.#deliveredBytes - upload.deliveredBytes) / sinceMs
  }

  #rateOfLate({ leftAt }: Upload, nowMs: number): number {
    const leastMs = Math.max(tellingMs, this.roundTripMs)
    return this.#lastWhile.note(this.#receiptedNow(leftAt, nowMs), leastMs)
  }

  #receiptedNow(leftAt: number, atMs: number): Receipted {
    return { atMs, deliveredBytes: this.#deliveredBytes, leftBytes: this.#underWay.leftBytes, leftAt }
  }

  /**
   * In the first round there was no receipt yet to count from, and a round trip would count as time of sending: it is taken
   * off as far as it is known. What comes closely behind the first receipt tells the rate, too, but receipts may also come
   * together by chance.
   */
  #firstRate(upload: Upload, nowMs: number): number {
    if (upload.deliveredBytes > 0) return 0
    const isFirst = this.#first === undefined
    const known = { bytes: this.#deliveredBytes, ms: nowMs, leftMs: upload.leftMs }
    const { bytes, ms, leftMs, beganMs } = (this.#first ??= { ...known, beganMs: upload.deliveredMs })
    const takenMs = nowMs - beganMs
    const most = this.#deliveredBytes / Math.max(1, takenMs / firstRateTimes, takenMs - this.#exchangeMs)
    const sinceMs = Math.max(nowMs - ms, upload.leftMs - leftMs, 1)
    if (isFirst) return this.#exchangeMs > 0 ? most : 0
    return Math.min(most, (this.#deliveredBytes - bytes) / sinceMs)
  }

  /** It brought no receipt. */
  abandoned(upload: Upload, nowMs: number): void {
    this.#drain(nowMs)
    this.#underWay.lost(upload)
    this.#outstandingBytes -= upload.bytes
    this.#backlogBytes = Math.min(this.#backlogBytes, this.#outstandingBytes)
    if (upload.isProbe && this.#isProbing) this.#endProbe(nowMs)
  }

  /** An exchange without a body came back. */
  noteRoundTrip(ms: number, nowMs: number): void {
    this.#exchangeMs = ms
    this.#leastRoundTrip.note(ms, nowMs)
  }

  /** Nothing leaves for as long as the link needs for so many bytes, and after that it has no slack. */
  #drainFor(bytes: number): void {
    this.#isProbing = true
    this.#backlogBytes += bytes
  }

  #endProbe(nowMs: number): void {
    this.#isProbing = false
    this.#probedMs = nowMs
  }

  /** Twice the rate while it is found to grow: what was too much then stands for a while, and is waited for. */
  get #paceRate(): number {
    return (this.rate ?? 0) * (this.isGrowing && !this.#isProbing ? startGain : cruiseGain)
  }

  #drain(nowMs: number): void {
    const left = this.#backlogBytes - this.#paceRate * (nowMs - this.#backlogMs)
    // Where a receipt is waited for, what is known of the rate is in doubt.
    if (left < 0 && !this.isFull) this.#idleMs += Math.min(nowMs - this.#backlogMs, -left / this.#paceRate)
    this.#backlogBytes = Math.max(0, left)
    this.#backlogMs = nowMs
  }

  /** Where there was nothing more to send the link could have carried more: such a sample only counts upwards. */
  #noteRate(rate: number, upload: Upload, nowMs: number): void {
    // A line tells of the line only, alone as well as beside a large body.
    const bytes = this.#deliveredBytes - upload.deliveredBytes
    const isTiny = bytes < Math.max(this.#outstandingBytes / 4, upload.isStarved ? leastTellingBytes : 0)
    const isLow = isTiny || upload.isStarved || upload.deliveredBytes === this.#idleBytes
    if (isOfOthers(upload, bytes) || (this.rate === undefined ? isTiny : isLow && rate <= this.rate)) return
    const hasGrown = rate > (this.rate ?? 0) * growth
    const isNewRound = upload.deliveredBytes >= this.#roundBytes
    const hasFallen = this.#mostRate.note(rate, isNewRound, nowMs)
    if (hasGrown || isNewRound) this.#roundBytes = this.#deliveredBytes
    if (isNewRound) this.#plateaus++
    // A link that stood still several times looks like one that has become slow: it is soon found out which it is.
    if (hasGrown || hasFallen) this.#plateaus = 0
    // What stood before it at the higher rate may still be in the round trip.
    if (hasFallen) this.#endProbe(-Infinity)
  }
}

/** How much better the first receipts may make the link look than all that was sent over all the time. */
const firstRateTimes = 2
/** Receipts come some tens of milliseconds early or late. */
const tellingMs = 1000
/** Less than this, with nothing behind it, is no first rate. */
const leastTellingBytes = 16 * 1024
const growth = 1.25
const believedPlateaus = 2
/** A timer that is late now and then starves no link. */
const idleShare = 1 / 16
const startGain = 2
/** A rate that is taken for somewhat too low is found out by this; what is too much is seen with the next receipt. */
const cruiseGain = 1.02
const probeEveryMs = 60_000
/** Of what fills the link. */
const drainedShare = 0.5
const stillShrinking = 0.95
const leastSlackBytes = 8 * 1024
const leastSlackMs = 50
/** A server needs time for its receipt, too. */
const aheadMs = 100
/** Before anything is known of the link, beside the first upload. */
const unknownAheadBytes = 96 * 1024
