import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { encodeBody } from '../../protocol/body.ts'
import { headAfter, newChain, placeAfter, type ChainHead } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { parsePublicKey, type Signer } from '../../protocol/ed25519-policy.ts'
import {
  base64url,
  sha256,
  streamIdFrom,
  type ByteOffset,
  type DeviceId,
  type Digest,
  type Epoch,
} from '../../protocol/ids.ts'
import type { LogPath } from '../../protocol/log-path.ts'
import type { LossReason, Manifest, RecordTime } from '../../protocol/manifest.ts'
import { nonceBytes, signQuery, type SignedQuery } from '../../protocol/query.ts'
import { verifyReceipt, type Receipt } from '../../protocol/receipt.ts'
import { encodeRecord, scanRecord } from '../../protocol/record.ts'
import { seal, sealChunk, type SealedRecord } from '../../protocol/seal.ts'

/** A record as a drone holds it. */
export interface Sealed {
  readonly manifest: Manifest
  readonly digest: Digest
  readonly bytes: Uint8Array
}

const time: RecordTime = {
  wallMs: 1_790_000_000_000,
  monotonicMs: 1000,
  bootId: new Uint8Array(16).fill(7),
  clockState: 'synchronized',
}

export function makeSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const bytes = Uint8Array.from(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const parsed = parsePublicKey(bytes)
  if (!parsed) throw new Error('a new key is always good')
  return { publicKey: parsed, sign: (message) => sign(null, message, privateKey) }
}

let labels = 0

/** A new generation of the file at `path`. */
export function labelOf(path: LogPath, tags: Readonly<Record<string, string>> = {}): StreamLabel {
  const id = streamIdFrom(sha256(Buffer.from(`stream ${++labels}`)).subarray(0, 16))
  if (id === undefined) throw new Error('16 bytes are a stream id')
  return { stream: id, path, tags: new Map(Object.entries(tags)) }
}

/** What a drone does, without a disk: it seals records along its chain. */
export class Drone {
  readonly device: DeviceId
  readonly signer: Signer
  #head: ChainHead
  /** Where the last record was sealed. */
  #before: ChainHead

  constructor(device: string, signer: Signer = makeSigner(), epoch = 1) {
    this.device = device as DeviceId
    this.signer = signer
    this.#head = newChain(this.device, epoch as Epoch)
    this.#before = this.#head
  }

  get publicKey(): string {
    return base64url(this.signer.publicKey.bytes)
  }

  newEpoch(epoch: number): void {
    this.#head = newChain(this.device, epoch as Epoch)
  }

  async data(label: StreamLabel, offset: number, bytes: Uint8Array | string): Promise<Sealed> {
    const body = await encodeBody(Buffer.from(bytes))
    return this.#advance(sealChunk(label, offset as ByteOffset, body, this.#head, time, this.signer))
  }

  /** Another record for the place of the last, as of a disk that was restored from a copy: the chain goes on behind the first. */
  async fork(label: StreamLabel, offset: number, bytes: Uint8Array | string): Promise<Sealed> {
    const after = this.#head
    this.#head = this.#before
    const record = await this.data(label, offset, bytes)
    this.#head = after
    return record
  }

  loss(label: StreamLabel, offset: number, length: number | null, reason: LossReason): Sealed {
    const common = { ...placeAfter(this.#head), ...label, time }
    return this.#seal({ kind: 'loss', ...common, offset: offset as ByteOffset, length, reason })
  }

  close(label: StreamLabel, content: Uint8Array | string): Sealed {
    const bytes = Buffer.from(content)
    const common = { ...placeAfter(this.#head), ...label, time }
    return this.#seal({ kind: 'close', ...common, length: bytes.length, sha256: sha256(bytes) })
  }

  /** Seals a manifest with what is changed in it: hostile, if it says what is not true. */
  async altered(
    label: StreamLabel,
    bytes: Uint8Array | string,
    change: (manifest: Manifest) => Manifest,
    body?: Uint8Array | null,
  ): Promise<Sealed> {
    const before = this.#head
    const { manifest, bytes: record } = await this.data(label, 0, bytes)
    this.#head = before
    const scan = scanRecord(record)
    const own = scan.is === 'whole' ? scan.frame.body : null
    return this.#seal(change(manifest), body === undefined ? own : body)
  }

  /** The query whether these records are safe. */
  asksFor(...records: readonly Pick<Sealed, 'manifest' | 'digest'>[]): Uint8Array {
    const names = records.map(({ manifest: { epoch, seq }, digest }) => ({ epoch, seq, digest }))
    return signQuery({ asks: 'records', device: this.device, records: names }, this.signer).bytes
  }

  /** The query what is there of the files at these paths. */
  asksAbout(...paths: readonly LogPath[]): SignedQuery {
    const nonce = randomBytes(nonceBytes)
    return signQuery({ asks: 'streams', device: this.device, nonce, paths }, this.signer)
  }

  #seal(manifest: Manifest, body: Uint8Array | null = null): Sealed {
    return this.#advance(seal(manifest, body, this.#head, this.signer))
  }

  #advance({ manifest, digest, bytes }: SealedRecord): Sealed {
    this.#before = this.#head
    this.#head = headAfter(this.#head, digest)
    return { manifest, digest, bytes }
  }
}

/** The record as a drone sends it that had to evict its body. */
export function withheld({ bytes }: Sealed): Uint8Array {
  const scan = scanRecord(bytes)
  if (scan.is !== 'whole' || !scan.frame.body) throw new Error('there is no body to withhold')
  const bodyHeadBytes =
    scan.frame.body.length < 24
      ? 1
      : scan.frame.body.length < 256
        ? 2
        : scan.frame.body.length < 65_536
          ? 3
          : 5
  const recordHead = 6
  return encodeRecord(bytes.subarray(recordHead, bytes.length - scan.frame.body.length - bodyHeadBytes), null)
}

export const batchOf = (...records: readonly (Sealed | Uint8Array)[]): Uint8Array =>
  Buffer.concat(records.map((record) => (record instanceof Uint8Array ? record : record.bytes)))

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

/** Posts a batch as a drone does. */
export async function post(
  url: string,
  batch: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answered> {
  return answerTo(`${url}${paths.chunks}`, { 'content-type': mediaTypes.batch, ...headers }, batch)
}

async function answerTo(url: string, headers: Record<string, string>, body: Uint8Array): Promise<Answered> {
  const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(body) })
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  }
}

/** The receipt in an answer, verified under the server's key; throws where there is none. */
export function receiptIn(
  { status, body }: Answered,
  server: Signer['publicKey'],
  device: DeviceId,
): Receipt {
  const receipt = verifyReceipt(body, [server], device)
  if (status !== 200 || !receipt.ok)
    throw new Error(`no receipt: ${status} ${Buffer.from(body).toString('utf8')}`)
  return receipt.value
}

export const problemCode = ({ body }: Answered): string =>
  (JSON.parse(Buffer.from(body).toString('utf8')) as { code: string }).code

/** Posts a signed query, as a drone does. */
export async function ask(url: string, path: string, query: Uint8Array): Promise<Answered> {
  return answerTo(`${url}${path}`, { 'content-type': mediaTypes.query }, query)
}
