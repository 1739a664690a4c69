import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { lossReasons } from '../protocol/manifest.ts'
import type { Query } from '../protocol/query.ts'
import type { Receipt } from '../protocol/receipt.ts'
import type { Catalog, Commit } from './catalog/catalog.ts'
import type { ProblemCode } from './faults.ts'

export interface RequestFacts {
  readonly method: string
  /** The pattern that the address fits, not the address. */
  readonly route: string
  readonly status: number
  readonly durationMs: number
}

/** The counters that the journal moves. */
export interface Meters {
  stored(commit: Commit): void
  committed(commit: Commit): void
  receiptSent(receipt: Receipt): void
  refused(refusal: string): void
  queried(asks: Query['asks'], answer: string): void
  turnedAway(problem: ProblemCode): void
  requestEnded(request: RequestFacts): void
}

export interface Metrics {
  readonly meters: Meters
  readonly contentType: string
  /** All of them, as Prometheus reads them. */
  text(): Promise<string>
}

const durationBucketsSeconds = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600]

/** Counters of their own for each caller, and the devices as the catalog has them when it is asked. */
export function openMetrics(catalog: Catalog): Metrics {
  const registry = new Registry()
  const meters = makeMeters(registry)
  addDeviceGauge(registry, catalog)
  return { meters, contentType: registry.contentType, text: () => registry.metrics() }
}

function makeMeters(registry: Registry): Meters {
  const count = (name: string, help: string, ...labelNames: string[]): Counter =>
    new Counter({ name: `logbox_${name}`, help, labelNames, registers: [registry] })
  const records = count('records_total', 'Records that a receipt was sent for, by outcome', 'outcome')
  const refusals = count('refusals_total', 'Records that were refused, by code', 'code')
  const turnedAway = count('problems_total', 'Requests that were answered with a problem, by code', 'code')
  const storedBytes = count('stored_bytes_total', 'Bytes of records written to the store')
  const forks = count('forks_total', 'Records whose place in the chain was taken')
  const lossRecords = count('loss_records_total', 'Losses that drones reported, by reason', 'reason')
  const lossBytes = count('loss_bytes_total', 'Bytes that drones reported as lost, by reason', 'reason')
  const endless = count(
    'losses_of_unknown_length_total',
    'Losses of which no drone knows how long they are',
    'reason',
  )
  const closes = count('closes_total', 'Files that drones closed with a length and hash')
  const queries = count(
    'queries_total',
    'Queries of drones, by what they ask and what came of it',
    'asks',
    'answer',
  )
  for (const reason of lossReasons)
    for (const counter of [lossRecords, lossBytes, endless]) counter.inc({ reason }, 0)
  const durations = new Histogram({
    name: 'logbox_request_duration_seconds',
    help: 'From the head of a request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: durationBucketsSeconds,
    registers: [registry],
  })
  return {
    stored: ({ blobs }) => storedBytes.inc(blobs.reduce((sum, { bytes }) => sum + bytes, 0)),
    committed: (commit) => {
      forks.inc(commit.records.filter(({ row }) => row.role === 'fork').length)
      closes.inc(commit.records.filter(({ row }) => row.kind === 'close').length)
      for (const { reason, bytes } of lossesIn(commit)) {
        lossRecords.inc({ reason })
        if (bytes === null) endless.inc({ reason })
        else lossBytes.inc({ reason }, bytes)
      }
    },
    receiptSent: ({ entries }) => {
      for (const { outcome } of entries) records.inc({ outcome })
    },
    queried: (asks, answer) => queries.inc({ asks, answer }),
    refused: (code) => refusals.inc({ code }),
    turnedAway: (code) => turnedAway.inc({ code }),
    requestEnded: ({ method, route, status, durationMs }) =>
      durations.observe({ method, route, status }, durationMs / 1000),
  }
}

/** A data record without its body is a loss as well: the drone had to evict it. */
function lossesIn({ records }: Commit): { reason: string; bytes: number | null }[] {
  return records.flatMap(({ row: { kind, reason, length, hasBody } }) => {
    if (kind === 'loss' && reason !== null) return [{ reason, bytes: length }]
    return kind === 'data' && !hasBody ? [{ reason: 'evicted', bytes: length }] : []
  })
}

function addDeviceGauge(registry: Registry, catalog: Catalog): Gauge {
  return new Gauge({
    name: 'logbox_devices',
    help: 'Registered devices, by state',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const devices = await catalog.soundDevices()
      const active = devices.filter(({ revokedMs }) => revokedMs === null).length
      this.set({ state: 'active' }, active)
      this.set({ state: 'revoked' }, devices.length - active)
    },
  })
}
