import type { Readable } from 'node:stream'
import nock from 'nock'
import { capabilitiesOf } from '../../protocol/capabilities.ts'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import type { PublicKey, Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, type DeviceId } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { readQuery } from '../../protocol/query.ts'
import { signReceipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { scanRecord } from '../../protocol/record.ts'
import { accept } from '../../protocol/refusal.ts'
import { verifyRecord, type VerifiedRecord } from '../../protocol/verify.ts'
import { makeSigner } from './drone.ts'

/** A request as it came. */
export interface Arrived {
  readonly method: string
  readonly path: string
  readonly body: Uint8Array
}

export interface Answered {
  readonly is: 'answer'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | Readable
}

/** What the drone sees of one request. */
export type Played = Answered | { readonly is: 'failure'; readonly code: string; readonly words: string }

/** Plays one request. `server` is what a good server would do with it, and remembers what it stored. */
export type Turn = (request: Arrived, server: PlayedServer) => Played | Promise<Played>

/** A turn for each request, one after the other. */
export type Scenario = readonly Turn[]

export const answer = (
  status: number,
  mediaType: string,
  body: Uint8Array | Readable | string,
): Answered => ({
  is: 'answer',
  status,
  headers: { 'content-type': mediaType },
  body: typeof body === 'string' ? Buffer.from(body) : body,
})

export const failure = (code: string, words: string): Played => ({ is: 'failure', code, words })

type NockAnswer = [number, Buffer | Readable, Record<string, string>]
type Reply = (error: Error | null, answer: NockAnswer) => void
const noAnswer: NockAnswer = [0, Buffer.alloc(0), {}]

/**
 * A server that nock plays at `address`: requests meet the turns of a scenario, one each, and when those are used up, a
 * good server. It verifies what it stores, as a server must.
 */
export class PlayedServer implements Disposable {
  readonly address: string
  readonly signer: Signer = makeSigner()
  /** Every request, as it came, in order. */
  readonly requests: Arrived[] = []
  /** By digest: a record that comes twice is here once. */
  readonly stored = new Map<string, VerifiedRecord>()
  readonly #device: DeviceId
  readonly #key: PublicKey
  readonly #turns: Turn[]

  constructor(address: string, device: DeviceId, key: PublicKey, scenario: Scenario = []) {
    this.address = address
    this.#device = device
    this.#key = key
    this.#turns = [...scenario]
    const scope = nock(address).persist()
    for (const method of ['GET', 'POST'])
      scope
        .intercept(() => true, method)
        .reply((path, body, reply) => void this.#play(method, path, body, reply))
  }

  /** This turn is for a later request. */
  again(turn: Turn): void {
    this.#turns.unshift(turn)
  }

  /** Whether turns are left. */
  get isPlaying(): boolean {
    return this.#turns.length > 0
  }

  async #play(method: string, path: string, body: unknown, reply: Reply): Promise<void> {
    const request = { method, path, body: bytesOf(body) }
    this.requests.push(request)
    const turn = this.#turns.shift()
    const played = turn ? await turn(request, this) : this.serve(request)
    if (played.is === 'failure')
      reply(Object.assign(new Error(played.words), { code: played.code }), noAnswer)
    else reply(null, [played.status, asNockTakesIt(played.body), { ...played.headers }])
  }

  /** As a good server does. */
  serve(request: Arrived): Answered {
    switch (request.path) {
      case paths.chunks:
        return this.receipt(this.#take(request.body))
      case paths.receipts:
        return this.#tell(request.body)
      case paths.capabilities:
        return answer(200, mediaTypes.capabilities, JSON.stringify(capabilitiesOf('AAAAAAAAAAAAAAAAAAAAAA')))
      default:
        return answer(404, mediaTypes.problem, '{"status":404,"code":"NOT_FOUND"}')
    }
  }

  /** Signed for this drone by this server, where nothing else is asked for. */
  receipt(entries: readonly ReceiptEntry[], signer = this.signer, device = this.#device): Answered {
    const timeMs = 1_790_000_000_000 + this.requests.length
    const bytes = signReceipt({ device, timeMs, entries }, signer)
    return answer(200, mediaTypes.receipt, bytes)
  }

  /** Of what the request brings, without storing any of it. */
  entriesOf(request: Arrived): ReceiptEntry[] {
    return recordsIn(request.body, this.#key).map((record) => entryOf(record, 'stored'))
  }

  /** As a good server does, but that its receipt refuses some of the records. */
  serveBut(request: Arrived, isRefused: (manifest: Manifest) => boolean, refusal: string): Answered {
    if (request.path !== paths.chunks) return this.serve(request)
    const entries = recordsIn(request.body, this.#key).map((record) => {
      const { place, digest } = entryOf(record, 'stored')
      return isRefused(record.manifest)
        ? { place, digest, outcome: 'refused' as const, refusal }
        : this.#store(record)
    })
    return this.receipt(entries)
  }

  #take(batch: Uint8Array): ReceiptEntry[] {
    return recordsIn(batch, this.#key).map((record) => this.#store(record))
  }

  #store(record: VerifiedRecord): ReceiptEntry {
    const entry = entryOf(record, this.stored.has(keyOf(record)) ? 'duplicate' : 'stored')
    this.stored.set(keyOf(record), record)
    return entry
  }

  #tell(bytes: Uint8Array): Answered {
    const claimed = readQuery(bytes)
    const isAsked =
      claimed.ok && claimed.value.query.asks === 'records' && claimed.value.isSignedBy(this.#key)
    if (!isAsked || claimed.value.query.asks !== 'records')
      return answer(400, mediaTypes.problem, '{"status":400,"code":"QUERY_INVALID"}')
    const asked = new Set(claimed.value.query.records.map(({ digest }) => base64url(digest)))
    const held = [...this.stored.values()].filter(({ digest }) => asked.has(base64url(digest)))
    return this.receipt(held.map((record) => entryOf(record, 'duplicate')))
  }

  /** What it has of a file: the bytes of its records, in the order of the chain. */
  contentOf(path: string): string {
    const own = [...this.stored.values()].filter(({ manifest }) => manifest.path === path)
    const ordered = own.toSorted(
      (a, b) => a.manifest.epoch - b.manifest.epoch || a.manifest.seq - b.manifest.seq,
    )
    return Buffer.concat(ordered.map(({ content }) => content ?? Buffer.alloc(0))).toString()
  }

  [Symbol.dispose](): void {
    nock.abortPendingRequests()
    nock.cleanAll()
  }
}

function entryOf({ manifest, digest }: VerifiedRecord, outcome: 'stored' | 'duplicate'): ReceiptEntry {
  return { place: { epoch: manifest.epoch, seq: manifest.seq }, digest, outcome }
}

const keyOf = ({ digest }: VerifiedRecord): string => base64url(digest)

function recordsIn(batch: Uint8Array, key: PublicKey): VerifiedRecord[] {
  const records: VerifiedRecord[] = []
  for (let scan = scanRecord(batch); scan.is === 'whole'; scan = scanRecord(batch, scan.end)) {
    const verdict = verifyRecord(scan.frame, () => accept(key))
    if (!verdict.ok) throw new Error(`the drone sent a record that is ${verdict.refusal}`)
    records.push(verdict.value)
  }
  return records
}

/** nock gives what is no text as hexadecimal digits. */
const bytesOf = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : '', 'hex')

const asNockTakesIt = (body: Uint8Array | Readable): Buffer | Readable =>
  body instanceof Uint8Array ? Buffer.from(body) : body
