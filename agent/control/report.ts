/** What the agent tells about itself over its control socket, as JSON. Sizes are bytes, times milliseconds. */
import type { ReportedPath } from './reported-path.ts'
import type { FileState } from '../capture/generation.ts'
import type { QueueState } from '../queue/queue-state.ts'

/** What delivery is doing, as its state machine stands, and what a person should know of it. */
export type LinkReport = LinkState & {
  /** Such as that the server has lost what it signed for. */
  readonly notice?: string
}

export type LinkState =
  /** Nothing waits. */
  | { readonly is: 'idle' }
  | {
      readonly is: 'sending'
      readonly records: number
      readonly bytes: number
      /** Bytes a second that `delivery.rateLimit` allows. */
      readonly rateLimit?: number
    }
  /** The gate is closed; `why` says by what. */
  | { readonly is: 'held'; readonly why: string }
  /** The last attempt failed; `why` says what came back, `retryInMs` when the next one starts. */
  | {
      readonly is: 'waiting'
      readonly why: string
      /** retry: link or server failed. smaller: a request was too large. portal: not our server. person: somebody has to act. */
      readonly because: 'retry' | 'smaller' | 'portal' | 'person'
      readonly attempts: number
      readonly retryInMs: number
    }

/** A record that is kept but not sent. */
export interface SetAsideReport extends ReportedPath {
  readonly seq: number
  readonly why: string
}

/** How changes in the files are found. */
export type WatchReport =
  /** The kernel tells at once. */
  | { readonly is: 'notified' }
  /** Some are found only by the slow look, and why. */
  | { readonly is: 'rescanning'; readonly why: string }

export interface FileReport extends ReportedPath {
  readonly stream: string
  /** What is being done with it; `gone`: nothing, but for what waits in the queue. */
  readonly state: FileState | 'gone' | 'unreadable'
  readonly size: number
  /** Read, and so either queued or receipted, or still uncut in memory. */
  readonly readBytes: number
  readonly queuedBytes: number
  readonly receiptedBytes: number
  /** Named in loss records. */
  readonly lostBytes: number
  /** Why the file cannot be read at the moment. */
  readonly trouble?: string
}

export interface Totals {
  readonly files: number
  readonly size: number
  readonly readBytes: number
  readonly queuedBytes: number
  readonly receiptedBytes: number
  /** Of all files ever, those among them of which nothing else is told any more. */
  readonly lostBytes: number
}

export interface StatusReport {
  readonly version: string
  readonly device: string
  readonly epoch: number
  readonly server: string
  readonly link: LinkReport
  readonly queue: {
    readonly records: number
    readonly bytes: number
    readonly maxBytes: number
    readonly state: QueueState
    /** The first of them: there may be more, as many as `setAsideRecords` says. */
    readonly setAside: readonly SetAsideReport[]
    readonly setAsideRecords: number
    /** What it has lost, or given up, in words. */
    readonly notes?: readonly string[]
  }
  readonly watch: WatchReport
  readonly files: readonly FileReport[]
  readonly totals: Totals
}

/** A file that a flush could not finish. */
export interface RemainingFile extends ReportedPath {
  readonly unreadBytes: number
  readonly queuedBytes: number
  /** Why it cannot be read; empty where that is not what holds it up. */
  readonly trouble: string
}

/** What is left of a flush; `done`: everything that stood in the files when it began has receipts. */
export interface FlushReport {
  readonly done: boolean
  /** What receiptedBytes has to reach: all that stood in the files, and in the queue, when the flush began. */
  readonly targetBytes: number
  readonly receiptedBytes: number
  readonly queuedBytes: number
  readonly unreadBytes: number
  /** As in `Totals`. */
  readonly lostBytes: number
  /** Records that wait for a receipt. */
  readonly queuedRecords: number
  readonly link: LinkReport
  /** The files that are not done, in the last line of a flush that ran out of time. */
  readonly remaining?: readonly RemainingFile[]
}

/** Requests of the control socket, HTTP over a unix socket. */
export const controlPaths = {
  /** GET: a StatusReport. */
  status: '/status',
  /** POST with ?timeoutMs=N: FlushReports, one JSON object a line, about five a second, the last one with the result. */
  flush: '/flush',
} as const
