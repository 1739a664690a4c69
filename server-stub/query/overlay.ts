import type { RecordRow } from '../catalog/catalog.ts'

/** A stretch of a stream's content and the record that says what is there. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly record: RecordRow
}

/**
 * Spans, each put over those before it. They lie in layers, each at least twice as long as the one above it: n spans in
 * any order cost n log n, because whoever signs them chooses their order.
 */
export class Overlay {
  /** Each in order, without overlap; a later one covers those before it. */
  readonly #layers: Span[][] = []

  /** Nearly always it comes after all that is there. */
  put(span: Span): void {
    const top = this.#layers.at(-1)
    if (top && (top.at(-1)?.to ?? 0) <= span.from) top.push(span)
    else this.#layers.push([span])
    this.#merge((lower, upper) => lower < 2 * upper)
  }

  /** What shows from above: in order, without overlap. */
  spans(): readonly Span[] {
    this.#merge(() => true)
    return this.#layers[0] ?? []
  }

  #merge(isDue: (lowerSpans: number, upperSpans: number) => boolean): void {
    for (;;) {
      const [lower, upper] = this.#layers.slice(-2)
      if (!lower || !upper || !isDue(lower.length, upper.length)) return
      this.#layers.splice(-2, 2, merged(lower, upper))
    }
  }
}

function merged(lower: readonly Span[], upper: readonly Span[]): Span[] {
  const all: Span[] = []
  let next = 0
  let coveredTo = 0
  const showUntil = (end: number): void => {
    for (let span = lower[next]; span; span = lower[++next]) {
      const [from, to] = [Math.max(span.from, coveredTo), Math.min(span.to, end)]
      const isCut = from !== span.from || to !== span.to
      if (from < to) all.push(isCut ? { from, to, record: span.record } : span)
      if (span.to > end) return
    }
  }
  for (const cover of upper) {
    showUntil(cover.from)
    all.push(cover)
    coveredTo = cover.to
  }
  showUntil(Infinity)
  return all
}
