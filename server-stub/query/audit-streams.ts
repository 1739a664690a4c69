import type { Label, RecordRow, StreamRow } from '../catalog/catalog.ts'
import { findingAt, type Finding } from './finding.ts'
import { equalLabels } from './label.ts'

interface Place {
  readonly epoch: number
  readonly seq: number
}

/** What the rows of a stream's records say about the stream's own row. */
interface Extent {
  /** Of any record, forks too. */
  readonly first: Place
  /** The last record that holds its place: it labels the stream. */
  last: RecordRow | undefined
}

interface Labelled {
  readonly row: RecordRow
  readonly label: Label
}

/** Compares the catalog's streams with their records: which was first, which labels it, whether there is one at all. */
export class StreamAudit {
  readonly #extents = new Map<string, Extent & Pick<RecordRow, 'device'>>()
  /** By stream: the last label that is signed by a record that holds its place. */
  readonly #labels = new Map<string, Labelled>()
  /** The same of the forks, where one of the last place is as good as another. */
  readonly #forkLabels = new Map<string, readonly Labelled[]>()

  /** Each record of the catalog, those of a device in their order. */
  noteRow(row: RecordRow): void {
    const name = nameOf(row)
    const extent = this.#extents.get(name) ?? { device: row.device, first: row, last: undefined }
    if (row.role === 'first') extent.last = row
    this.#extents.set(name, extent)
  }

  /** Each record whose signature holds, in any order. What was superseded says nothing that its successor does not. */
  noteLabel(row: RecordRow, label: Label): void {
    if (row.role === 'fork') this.#noteFork({ row, label })
    if (row.role !== 'first') return
    const last = this.#labels.get(nameOf(row))
    if (!last || !isBefore(row, last.row)) this.#labels.set(nameOf(row), { row, label })
  }

  #noteFork(fork: Labelled): void {
    const name = nameOf(fork.row)
    const known = this.#forkLabels.get(name) ?? []
    const [one] = known
    if (one && one.row.seq > fork.row.seq) return
    const isLater = one !== undefined && one.row.seq < fork.row.seq
    this.#forkLabels.set(name, isLater ? [fork] : [...known, fork])
  }

  *findings(streams: readonly StreamRow[]): Generator<Finding, void, undefined> {
    const unseen = new Map(this.#extents)
    for (const stream of streams) {
      unseen.delete(nameOf(stream))
      yield* this.#stream(stream)
    }
    for (const [name, { device }] of unseen) {
      yield {
        code: 'STREAM_WRONG',
        device,
        detail: `the catalog has records of stream ${name} and no such stream`,
      }
    }
  }

  *#stream(stream: StreamRow): Generator<Finding, void, undefined> {
    const { device } = stream
    const extent = this.#extents.get(nameOf(stream))
    if (!extent) {
      yield { code: 'STREAM_WRONG', device, detail: `no record is of stream ${stream.stream}` }
      return
    }
    if (stream.firstEpoch !== extent.first.epoch || stream.firstSeq !== extent.first.seq) {
      const detail = `the catalog has another record than ${extent.first.epoch}/${extent.first.seq} as the first of stream ${stream.stream}`
      yield { code: 'STREAM_WRONG', device, detail }
    }
    const signed = this.#labelsOf(nameOf(stream), extent.last)
    const [one] = signed
    if (!one || signed.some(({ label }) => equalLabels(stream, label))) return
    yield findingAt(
      'LABEL_WRONG',
      one.row,
      `the catalog labels stream ${stream.stream} otherwise than its last record does`,
    )
  }

  /** The labels that the stream may have; none where the record that labels it is damaged, which is told elsewhere. */
  #labelsOf(name: string, last: RecordRow | undefined): readonly Labelled[] {
    if (!last) return this.#forkLabels.get(name) ?? []
    const labelled = this.#labels.get(name)
    return labelled && !isBefore(labelled.row, last) ? [labelled] : []
  }
}

const nameOf = ({ device, stream }: Pick<StreamRow, 'device' | 'stream'>): string => `${device}/${stream}`

const isBefore = (a: Place, b: Place): boolean => a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq)
