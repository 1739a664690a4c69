/**
 * What the link carries, learnt from receipts as BBR (RFC draft-cardwell-iccrg-bbr) learns from acknowledgements: the
 * rate is the most that was delivered over any of the last rounds, the round trip the least that was seen. From the two
 * follows how much may be under way: enough to fill the link, and a little more than that, so that what is urgent never
 * stands behind what is not. Pure; times are monotonic milliseconds, given from outside.
 */
export class LinkModel {
  /** Samples of the rate, newest last, bytes a millisecond. */
  readonly #rates: number[] = []
  /** Least round trips of the last periods, newest last. */
  readonly #roundTrips: { readonly sinceMs: number; ms: number }[] = []
  /** Of all uploads that ever were. */
  #leftBytes = 0
  #deliveredBytes = 0
  #deliveredMs = 0
  /** Delivered when the link was idle last: the round that began then has to fill it first. */
  #idleBytes = 0
  /** The first receipt of all, and the bytes that it was for. */
  #first: Landmark | undefined
  /** When the last byte of the newest delivered upload left. */
  #deliveredLeftMs = 0
  /** Left and not receipted, of all uploads. */
  #outstandingBytes = 0
  /** Estimated to stand before the narrowest place of the way, at `#backlogMs`. */
  #backlogBytes = 0
  #backlogMs = 0
  /** Rounds in a row in which the rate did not grow. */
  #plateaus = 0
  /** Delivered when the present round began: an upload that began later ends it. */
  #roundBytes = 0
  /** Receipts in a row that came as if nothing had stood before the narrow place. */
  #early = 0
  /**
   * Whatever stands before the narrow place is part of every round trip that is seen. Now and then it is let drain, and
   * an upload is sent without any slack, which shows the round trip as it is.
   */
  #isProbing = false
  #probedMs = -Infinity

  /** Bytes a millisecond; undefined before the first receipt. */
  get rate(): number | undefined {
    return this.#rates.length === 0 ? undefined : Math.max(...this.#rates)
  }

  /** 0 before the first receipt. */
  get roundTripMs(): number {
    return this.#roundTrips.length === 0 ? 0 : Math.min(...this.#roundTrips.map(({ ms }) => ms))
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

  /** An upload that begins now. */
  begin(nowMs: number): Upload {
    const isDue = !this.isGrowing && nowMs - this.#probedMs > probeEveryMs
    if (isDue && !this.#isProbing) this.#drainFor(this.pipeBytes * drainedShare)
    const isAlone = this.#outstandingBytes === 0 || this.#deliveredBytes === 0
    if (isAlone) this.#countFrom(nowMs)
    return {
      bytes: 0,
      isStarved: false,
      isAlone,
      isProbe: this.#isProbing,
      beganMs: nowMs,
      deliveredBytes: this.#deliveredBytes,
      deliveredMs: isAlone ? nowMs : this.#deliveredMs,
      leftBeforeMs: isAlone ? nowMs : this.#deliveredLeftMs,
      leftMs: nowMs,
      leftAt: this.#leftBytes,
    }
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
  }

  /** So many bytes of it left. */
  left(upload: Upload, bytes: number, nowMs: number): void {
    this.#drain(nowMs)
    // The link waited for this drone, not the other way round.
    if (bytes > 0 && this.#backlogBytes === 0 && !this.isGrowing) upload.isStarved = true
    this.#leftBytes += bytes
    upload.bytes += bytes
    upload.leftAt = this.#leftBytes
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
    this.#outstandingBytes -= upload.bytes
    this.#deliveredBytes += upload.bytes
    const knownMs = this.roundTripMs
    this.#noteRoundTrip(nowMs - upload.leftMs, nowMs)
    if (upload.isProbe) this.#endProbe(nowMs)
    // Half of what stood was let drain, and there was more: once again.
    if (upload.isProbe && this.roundTripMs < knownMs * stillShrinking) this.#probedMs = -Infinity
    this.#noteRate(Math.max(this.#rateOver(upload, nowMs), this.#firstRate(upload, nowMs)), upload)
    this.#deliveredMs = nowMs
    this.#deliveredLeftMs = upload.leftMs
    this.#drain(nowMs)
    // Its last byte passed the narrow place a round trip ago: what left behind it has had that long to pass.
    const standing = Math.max(0, this.#leftBytes - upload.leftAt - this.pipeBytes)
    if (this.#isProbing) return
    this.#backlogBytes = standing
    this.#noteStanding(standing, upload)
  }

  /** What runs ahead of the rate stands there, unless the link has become faster than that. */
  #noteStanding(bytes: number, { isStarved, isProbe }: Upload): void {
    if (isStarved || isProbe || this.isGrowing) return
    this.#early = bytes < this.slackBytes / 2 ? this.#early + 1 : 0
    if (this.#early < believedEarly) return
    this.#plateaus = 0
    this.#early = 0
  }

  /** Bytes a millisecond over a round: from what had a receipt when it began to its own. */
  #rateOver(upload: Upload, nowMs: number): number {
    const sentMs = upload.leftMs - upload.leftBeforeMs
    const sinceMs = Math.max(nowMs - upload.deliveredMs, sentMs, this.roundTripMs, 0.1)
    return (this.#deliveredBytes - upload.deliveredBytes) / sinceMs
  }

  /**
   * In the first round there was no receipt yet to count from, and a round trip would count as time of sending. What comes
   * closely behind the first receipt tells the rate, as far as that can be: receipts may also come together by chance.
   */
  #firstRate(upload: Upload, nowMs: number): number {
    if (upload.deliveredBytes > 0) return 0
    this.#first ??= { bytes: this.#deliveredBytes, ms: nowMs, leftMs: upload.leftMs, beganMs: upload.beganMs }
    const { bytes, ms, leftMs, beganMs } = this.#first
    const sinceMs = Math.max(nowMs - ms, upload.leftMs - leftMs, 1)
    const most = (firstRateTimes * this.#deliveredBytes) / Math.max(1, nowMs - beganMs)
    return Math.min(most, (this.#deliveredBytes - bytes) / sinceMs)
  }

  /** It brought no receipt. */
  abandoned(upload: Upload, nowMs: number): void {
    this.#outstandingBytes -= upload.bytes
    this.#drain(nowMs)
    this.#backlogBytes = Math.min(this.#backlogBytes, this.#outstandingBytes)
    if (upload.isProbe) this.#endProbe(nowMs)
  }

  /** An exchange without a body came back. */
  noteRoundTrip(ms: number, nowMs: number): void {
    this.#noteRoundTrip(ms, nowMs)
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
    return (this.rate ?? 0) * (this.isGrowing && !this.#isProbing ? startGain : 1)
  }

  #drain(nowMs: number): void {
    const gone = this.#paceRate * (nowMs - this.#backlogMs)
    this.#backlogBytes = Math.max(0, this.#backlogBytes - gone)
    this.#backlogMs = nowMs
  }

  /** Where there was nothing more to send the link could have carried more: such a sample only counts upwards. */
  #noteRate(rate: number, upload: Upload): void {
    // A line beside a large body tells of the line only.
    const bytes = this.#deliveredBytes - upload.deliveredBytes
    const isTiny = bytes < this.#outstandingBytes / 4
    if (isTiny && this.rate === undefined) return
    const isLow = isTiny || upload.isStarved || upload.deliveredBytes === this.#idleBytes
    if (isLow && this.rate !== undefined && rate <= this.rate) return
    this.#countRounds(rate > (this.rate ?? 0) * growth, upload)
    this.#rates.push(rate)
    if (this.#rates.length > rememberedRates) this.#rates.shift()
    this.#forgetBetterDays()
  }

  #countRounds(hasGrown: boolean, upload: Upload): void {
    if (!hasGrown && upload.deliveredBytes < this.#roundBytes) return
    this.#plateaus = hasGrown ? 0 : this.#plateaus + 1
    this.#roundBytes = this.#deliveredBytes
  }

  /** A link that has lost most of its rate, and not for a moment, is believed at once. */
  #forgetBetterDays(): void {
    const latest = this.#rates.slice(-believedRates)
    if (latest.length < believedRates || Math.max(...latest) * 2 > (this.rate ?? 0)) return
    this.#rates.splice(0, this.#rates.length - believedRates)
  }

  /** In periods, so that a way that became longer is believed after a while. */
  #noteRoundTrip(ms: number, nowMs: number): void {
    const newest = this.#roundTrips.at(-1)
    if (newest && nowMs - newest.sinceMs < roundTripPeriodMs) {
      newest.ms = Math.min(newest.ms, ms)
      return
    }
    this.#roundTrips.push({ sinceMs: nowMs, ms })
    if (this.#roundTrips.length > roundTripPeriods) this.#roundTrips.shift()
  }
}

/** One upload in the model's book. */
export interface Upload {
  /** That left so far. */
  bytes: number
  /** Nothing more was there to send while it was under way, or something else than the link held it back. */
  isStarved: boolean
  /** Nothing else was under way when it began, or nothing had come back yet. */
  readonly isAlone: boolean
  /** It began while the round trip was to be found out. */
  readonly isProbe: boolean
  readonly beganMs: number
  /** As they stood when it began. */
  readonly deliveredBytes: number
  deliveredMs: number
  leftBeforeMs: number
  /** When its last byte so far left. */
  leftMs: number
  /** How many bytes had left then, of all uploads. */
  leftAt: number
}

interface Landmark {
  readonly bytes: number
  readonly ms: number
  readonly leftMs: number
  readonly beganMs: number
}

/** How much better the first receipts may make the link look than all that was sent over all the time. */
const firstRateTimes = 2
const rememberedRates = 10
const believedRates = 2
const growth = 1.1
const believedPlateaus = 2
const believedEarly = 3
const startGain = 2
const probeEveryMs = 30_000
/** Of what fills the link. */
const drainedShare = 0.5
const stillShrinking = 0.95
const roundTripPeriodMs = 30_000
const roundTripPeriods = 3
const leastSlackBytes = 8 * 1024
const leastSlackMs = 50
