import type { RecordRow } from '../catalog/catalog.ts'

/** A stretch of a stream's content and the record that has the last word about it. */
export interface Span {
  readonly from: number
  readonly to: number
  readonly record: RecordRow
}

/** What a stream's records say about its content, without having read them. */
export interface Layout {
  /** In order, without overlap; where none is, bytes are missing. */
  readonly spans: readonly Span[]
  /** Losses of which nobody knows how long they are. */
  readonly endlessLosses: readonly RecordRow[]
  readonly close: RecordRow | undefined
  /** Where the content ends, as far as is known. */
  readonly end: number
  readonly records: number
  /** Records that are set apart. Where no other is, nothing is known of the content. */
  readonly forks: number
}

/**
 * The content of a stream is its records applied in the order of the chain, like a log of writes: the later one wins,
 * also where it says that bytes are lost. Forks are no part of it.
 */
export async function layOut(records: AsyncIterable<RecordRow>): Promise<Layout> {
  const spans: Span[] = []
  const endlessLosses: RecordRow[] = []
  let close: RecordRow | undefined
  let count = 0
  let forks = 0
  for await (const record of records) {
    if (record.role === 'fork') forks++
    if (record.role !== 'first') continue
    count++
    if (record.kind === 'close') close = record
    else if (record.length === null) endlessLosses.push(record)
    else overlay(spans, { from: record.offset, to: record.offset + record.length, record })
  }
  const end = Math.max(spans.at(-1)?.to ?? 0, close?.length ?? 0)
  return { spans, endlessLosses, close, end, records: count, forks }
}

/** Puts a span over what is there. Nearly always it comes after all of it. */
function overlay(spans: Span[], span: Span): void {
  const last = spans.at(-1)
  if (!last || last.to <= span.from) {
    spans.push(span)
    return
  }
  const start = firstEndingAfter(spans, span.from)
  let end = start
  while ((spans[end]?.from ?? Infinity) < span.to) end++
  const covered = spans.slice(start, end)
  const before = covered.slice(0, 1).map(({ from, record }) => ({ from, to: span.from, record }))
  const after = covered.slice(-1).map(({ to, record }) => ({ from: span.to, to, record }))
  spans.splice(start, end - start, ...[...before, span, ...after].filter(({ from, to }) => from < to))
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
  readonly why: 'missing' | 'damaged' | 'lost'
  /** The reason of the loss, or what is wrong with the record. */
  readonly detail: string
}

export type Stretch = { readonly is: 'data'; readonly span: Span } | { readonly is: 'gap'; readonly gap: Gap }

/** The content from its start to its end, as stretches that are there and stretches that are not. */
export function* stretches(layout: Layout): Generator<Stretch, void, undefined> {
  let position = 0
  for (const span of layout.spans) {
    if (span.from > position) yield missing(position, span.from)
    yield isLost(span.record) ? lost(span.record, span.from, span.to) : { is: 'data', span }
    position = span.to
  }
  if (position < layout.end) yield missing(position, layout.end)
  for (const record of layout.endlessLosses) yield lost(record, record.offset, null)
}

const isLost = (record: RecordRow): boolean => record.kind === 'loss' || !record.hasBody

function missing(from: number, to: number): Stretch {
  return { is: 'gap', gap: { from, to, why: 'missing', detail: 'not delivered' } }
}

function lost(record: RecordRow, from: number, to: number | null): Stretch {
  return { is: 'gap', gap: { from, to, why: 'lost', detail: record.reason ?? 'evicted' } }
}
