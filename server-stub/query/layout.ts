import type { RecordRow } from '../catalog/catalog.ts'
import { Overlay, type Span } from './overlay.ts'

/** What came after a file was closed: nothing; bytes behind its end; or something within it. */
export type SinceClose = 'nothing' | 'grown' | 'changed'

/** What a stream's records say about its content, without having read them. */
export interface Layout {
  /** What was last said of each byte, data or loss: in order, without overlap. Where none is, bytes are missing. */
  readonly spans: readonly Span[]
  /** The bytes that are here, whatever was said later: in order, without overlap. */
  readonly data: readonly Span[]
  /** Losses of which nobody knows how long they are. */
  readonly endlessLosses: readonly RecordRow[]
  /** The last one. */
  readonly close: RecordRow | undefined
  readonly sinceClose: SinceClose
  /** Where the content ended before the close. */
  readonly endAtClose: number
  /** Where the content ends, as far as is known. */
  readonly end: number
  readonly records: number
  /** Records that are set apart. Where no other is, nothing is known of the content. */
  readonly forks: number
}

/**
 * The content of a stream is its data records applied in the order of the chain, like a log of writes: the later one
 * wins. A loss never takes away what was delivered: signed bytes stay evidence, whatever is signed later, and a drone in
 * wrong hands cannot sign them away. What stood there before is then given, and said to be outdated. Forks are no part
 * of it.
 */
export async function layOut(records: AsyncIterable<RecordRow>): Promise<Layout> {
  const layout = new GrowingLayout()
  for await (const record of records) layout.add(record)
  return layout
}

class GrowingLayout implements Layout {
  readonly #all = new Overlay()
  readonly #here = new Overlay()
  /** Where the last byte stands of which anything was said. */
  #writtenTo = 0
  readonly endlessLosses: RecordRow[] = []
  close: RecordRow | undefined
  sinceClose: SinceClose = 'nothing'
  endAtClose = 0
  records = 0
  forks = 0

  get spans(): readonly Span[] {
    return this.#all.spans()
  }

  get data(): readonly Span[] {
    return this.#here.spans()
  }

  get end(): number {
    const closed = this.sinceClose === 'changed' ? 0 : (this.close?.length ?? 0)
    return Math.max(this.#writtenTo, closed)
  }

  add(record: RecordRow): void {
    if (record.role === 'fork') this.forks++
    if (record.role !== 'first') return
    this.records++
    if (record.kind === 'close') this.#closeBy(record)
    else this.#write(record)
  }

  #closeBy(record: RecordRow): void {
    this.close = record
    this.sinceClose = 'nothing'
    this.endAtClose = this.#writtenTo
  }

  #write(record: RecordRow): void {
    const isWithin = this.close && record.offset < (this.close.length ?? 0)
    if (isWithin) this.sinceClose = 'changed'
    else if (this.close && this.sinceClose === 'nothing') this.sinceClose = 'grown'
    if (record.length === null) return void this.endlessLosses.push(record)
    const span = { from: record.offset, to: record.offset + record.length, record }
    this.#writtenTo = Math.max(this.#writtenTo, span.to)
    this.#all.put(span)
    if (!isLost(record)) this.#here.put(span)
  }
}

function firstEndingAfter(spans: readonly Span[], offset: number): number {
  let low = 0
  let high = spans.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((spans[middle]?.to ?? Infinity) <= offset) low = middle + 1
    else high = middle
  }
  return low
}

/** Why a stream of which no record holds its place has no content; undefined where one does. */
export function whyEmpty({ records, forks }: Pick<Layout, 'records' | 'forks'>): string | undefined {
  if (records > 0) return undefined
  if (forks === 0) return 'nothing is here: the catalog has no record of it'
  return `nothing is here but forks: ${forks} set apart, because other records hold their places in the chain`
}

export interface Gap {
  readonly from: number
  /** null: nobody knows. */
  readonly to: number | null
  /** outdated: bytes are there, and those that were written there later are lost. */
  readonly why: 'missing' | 'damaged' | 'lost' | 'outdated'
  /** The reason of the loss, or what is wrong with the record. */
  readonly detail: string
}

export type Stretch =
  | { readonly is: 'data'; readonly span: Span; readonly outdated?: Gap }
  | { readonly is: 'gap'; readonly gap: Gap }

/** The content from its start to its end, as stretches that are there and stretches that are not. */
export function* stretches(layout: Layout): Generator<Stretch, void, undefined> {
  let position = 0
  for (const span of layout.spans) {
    if (span.from > position) yield missing(position, span.from)
    if (isLost(span.record)) yield* whatIsLeft(span, layout.data)
    else yield { is: 'data', span }
    position = span.to
  }
  if (position < layout.end) yield missing(position, layout.end)
  for (const record of layout.endlessLosses) yield lost(record, record.offset, null)
}

/** Of a lost range: the bytes that were delivered before, and where there are none, the loss. */
function* whatIsLeft(loss: Span, data: readonly Span[]): Generator<Stretch, void, undefined> {
  let position = loss.from
  for (let at = firstEndingAfter(data, loss.from); (data[at]?.from ?? Infinity) < loss.to; at++) {
    const { from, to, record } = data[at] ?? loss
    const span = { from: Math.max(from, loss.from), to: Math.min(to, loss.to), record }
    if (span.from > position) yield lost(loss.record, position, span.from)
    const outdated = { from: span.from, to: span.to, why: 'outdated', detail: reasonOf(loss.record) } as const
    yield { is: 'data', span, outdated }
    position = span.to
  }
  if (position < loss.to) yield lost(loss.record, position, loss.to)
}

const isLost = (record: RecordRow): boolean => record.kind === 'loss' || !record.hasBody
const reasonOf = (record: RecordRow): string => record.reason ?? 'evicted'

function missing(from: number, to: number): Stretch {
  return { is: 'gap', gap: { from, to, why: 'missing', detail: 'not delivered' } }
}

function lost(record: RecordRow, from: number, to: number | null): Stretch {
  return { is: 'gap', gap: { from, to, why: 'lost', detail: reasonOf(record) } }
}
