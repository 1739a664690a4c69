import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { signEnvelope } from '../../protocol/cose.ts'
import { parsePublicKey } from '../../protocol/ed25519-policy.ts'
import { hex, parseDeviceId, parseDigest } from '../../protocol/ids.ts'
import { encodeManifest } from '../../protocol/manifest.ts'
import { readQuery, signQuery } from '../../protocol/query.ts'
import { signReceipt, verifyReceipt } from '../../protocol/receipt.ts'
import { BatchError, encodeRecord, readRecords } from '../../protocol/record.ts'
import { refusals } from '../../protocol/refusal.ts'
import { signStreams, verifyStreams } from '../../protocol/streams.ts'
import { digestOf } from '../../protocol/verify.ts'
import { batches } from '../vectors/chains.ts'
import { bytesToHex, entryToJson, manifestToJson, vectorFiles } from '../vectors/files.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { answeredMs, heldStreams } from '../vectors/held-streams.ts'
import { testKeys } from '../vectors/keys.ts'
import { queries } from '../vectors/queries.ts'
import { receipts } from '../vectors/receipts.ts'
import { judge, keyRingOf, outcomeOf, type Registration } from './judge.ts'

/** The tests read the files, as another implementation would. */
function fileOf(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'))
}

const bytesOf = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'))

interface GoodFile {
  readonly register: readonly Registration[]
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: {
      readonly digest: string
      readonly manifest: object
      readonly contentHex: string | null
    }
  }[]
}

interface HostileFile {
  readonly register: readonly Registration[]
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly refusal: string }
  }[]
}

interface BatchFile {
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly digests: readonly string[]; readonly end: string }
  }[]
}

interface ReceiptFile {
  readonly device: string
  readonly serverKeyHex: string
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly query?: string; readonly entries?: object }
  }[]
}

interface QueryFile {
  readonly register: readonly Registration[]
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly query?: object }
  }[]
}

interface StreamsFile {
  readonly device: string
  readonly serverKeyHex: string
  readonly queryDigest: string
  readonly queryPaths: number
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly streams?: object }
  }[]
}

interface KeyFile {
  readonly vectors: readonly {
    readonly id: string
    readonly hex: string
    readonly expect: { readonly accepted: boolean }
  }[]
}

test('the vector files are what scripts/make-vectors.ts makes', () => {
  for (const [name, made] of vectorFiles) {
    const kept = readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8')
    expect(kept === made, `${name} is out of date: node scripts/make-vectors.ts`).toBe(true)
  }
})

describe('good records', () => {
  const file = fileOf('records-good.json') as GoodFile
  test.each(file.vectors)(
    '$id is accepted with the content it should have',
    ({ hex: digits, expect: expected }) => {
      const verdict = judge(bytesOf(digits), keyRingOf(file.register))
      if (!verdict.ok) throw new Error(verdict.refusal)
      const { manifest, digest, content } = verdict.value
      expect(hex(digest)).toBe(expected.digest)
      expect(manifestToJson(manifest)).toEqual(expected.manifest)
      expect(content && hex(content)).toBe(expected.contentHex)
    },
  )

  test('protocol/ makes the same bytes', () => {
    const made = goodRecords.map(({ id, manifest, body }) => {
      const { signer } = manifest.device === 'quad-2' ? testKeys.quad : testKeys.hexa
      return {
        id,
        hex: hex(encodeRecord(signEnvelope(encodeManifest(manifest), 'logbox-manifest', signer), body)),
      }
    })
    expect(made).toEqual(goodRecords.map((record) => ({ id: record.id, hex: goodRecordHex(record) })))
  })
})

describe('hostile records', () => {
  const file = fileOf('records-hostile.json') as HostileFile
  test.each(file.vectors)('$id is refused: $expect.refusal', ({ hex: digits, expect: expected }) => {
    expect(outcomeOf(judge(bytesOf(digits), keyRingOf(file.register)))).toBe(expected.refusal)
  })

  test('no two vectors have one name', () => {
    const names = [...file.vectors, ...(fileOf('records-good.json') as GoodFile).vectors].map(
      (vector) => vector.id,
    )
    expect(new Set(names).size).toBe(names.length)
  })

  test('every refusal has a vector', () => {
    const ofRecords = file.vectors.map((vector) => vector.expect.refusal)
    const ofBatches = batches.flatMap((batch) => batch.expect.outcomes ?? [])
    const ofAnswers = ['RECEIPT_INVALID', 'QUERY_INVALID', 'STREAMS_INVALID']
    const others = [...ofBatches.map((outcome) => outcome.replace('refused ', '')), ...ofAnswers]
    expect(Object.keys(refusals).filter((code) => ![...ofRecords, ...others].includes(code))).toEqual([])
  })
})

describe('batches', () => {
  test.each((fileOf('batches.json') as BatchFile).vectors)(
    '$id ends: $expect.end',
    async ({ hex: digits, expect: expected }) => {
      expect(await readAll(bytesOf(digits))).toEqual({ digests: expected.digests, end: expected.end })
    },
  )
})

async function readAll(batch: Uint8Array): Promise<{ digests: string[]; end: string }> {
  const digests: string[] = []
  try {
    for await (const frame of readRecords(piecesOf(batch))) digests.push(hex(digestOf(frame)))
    return { digests, end: 'whole' }
  } catch (error) {
    if (!(error instanceof BatchError)) throw error
    return { digests, end: error.reason }
  }
}

async function* piecesOf(batch: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < batch.length; start += 50) yield batch.subarray(start, start + 50)
}

describe('receipts', () => {
  const file = fileOf('receipts.json') as ReceiptFile
  const pinned = parsePublicKey(bytesOf(file.serverKeyHex))
  const device = parseDeviceId(file.device)
  test.each(file.vectors)('$id: accepted is $expect.accepted', ({ hex: digits, expect: expected }) => {
    if (!pinned || device === undefined) throw new Error('the file is wrong')
    const verdict = verifyReceipt(bytesOf(digits), [pinned], device)
    expect(outcomeOf(verdict)).toBe(expected.entries ? 'accepted' : 'RECEIPT_INVALID')
    expect(verdict.ok ? verdict.value.entries.map(entryToJson) : undefined).toEqual(expected.entries)
    expect(verdict.ok && verdict.value.query ? hex(verdict.value.query) : undefined).toBe(expected.query)
  })

  test('protocol/ makes the same bytes', () => {
    if (device === undefined) throw new Error('the file is wrong')
    for (const { entries, query, hex: digits } of receipts) {
      if (!entries) continue
      const about = { device, timeMs: 1_795_298_401_000, entries, ...(query && { query }) }
      const made = signReceipt(about, testKeys.server.signer)
      expect(hex(made)).toBe(digits)
    }
  })
})

describe('queries', () => {
  const file = fileOf('queries.json') as QueryFile
  test.each(file.vectors)('$id: accepted is $expect.accepted', ({ hex: digits, expect: expected }) => {
    const verdict = readQuery(bytesOf(digits))
    expect(outcomeOf(verdict)).toBe(expected.query ? 'accepted' : 'QUERY_INVALID')
    if (!verdict.ok) return
    const { query, keyId, isSignedBy } = verdict.value
    const key = keyRingOf(file.register)(query.device, keyId)
    expect(bytesToHex(query)).toEqual(expected.query)
    expect(key.ok && isSignedBy(key.value)).toBe(true)
    expect(isSignedBy(testKeys.server.signer.publicKey)).toBe(false)
  })

  test('protocol/ makes the same bytes', () => {
    for (const { query, hex: digits } of queries) {
      if (!query) continue
      const { signer } = query.device === 'quad-2' ? testKeys.quad : testKeys.hexa
      expect(hex(signQuery(query, signer).bytes)).toBe(digits)
    }
  })
})

describe('lists of streams', () => {
  const file = fileOf('streams.json') as StreamsFile
  const pinned = parsePublicKey(bytesOf(file.serverKeyHex))
  const device = parseDeviceId(file.device)
  const digest = parseDigest(bytesOf(file.queryDigest))
  test.each(file.vectors)('$id: accepted is $expect.accepted', ({ hex: digits, expect: expected }) => {
    if (!pinned || device === undefined || !digest) throw new Error('the file is wrong')
    const verdict = verifyStreams(bytesOf(digits), [pinned], { device, digest, paths: file.queryPaths })
    expect(outcomeOf(verdict)).toBe(expected.streams ? 'accepted' : 'STREAMS_INVALID')
    expect(verdict.ok ? bytesToHex(verdict.value.streams) : undefined).toEqual(expected.streams)
  })

  test('protocol/ makes the same bytes', () => {
    if (device === undefined || !digest) throw new Error('the file is wrong')
    for (const { streams, hex: digits } of heldStreams) {
      if (!streams) continue
      const answer = { device, timeMs: answeredMs, query: digest, streams }
      expect(hex(signStreams(answer, testKeys.server.signer))).toBe(digits)
    }
  })
})

test.each((fileOf('keys.json') as KeyFile).vectors)(
  'public key $id: accepted is $expect.accepted',
  (vector) => {
    expect(parsePublicKey(bytesOf(vector.hex)) !== undefined).toBe(vector.expect.accepted)
  },
)
