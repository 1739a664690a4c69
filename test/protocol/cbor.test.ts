import { decode as decodeIndependently, encode as encodeIndependently, cdeEncodeOptions } from 'cbor2'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCbor, encodeCbor, type CborValue } from '../../protocol/cbor.ts'
import { encodeHead, readHead } from '../../protocol/cbor-head.ts'
import { hex } from '../../protocol/ids.ts'
import { bytes, count } from '../kit/arbitrary-records.ts'
import { lacksSharedData, sharedJson } from '../kit/shared-data.ts'

const fromHex = (digits: string): Uint8Array => Buffer.from(digits.replaceAll(' ', ''), 'hex')
const isAccepted = (digits: string): boolean => decodeCbor(fromHex(digits)) !== undefined

interface CborVector {
  readonly hex: string
  readonly diagnostic?: string
  readonly notes?: string
}

/** Why this profile refuses an item that is deterministic CBOR all the same, or undefined where it has no reason. */
function narrower(digits: string): string | undefined {
  const [first = 0] = fromHex(digits)
  if (first >= 0xf9 && first <= 0xfb) return 'a float'
  if (first >> 5 === 6) return 'a tag'
  if (first === 0xf4 || first === 0xf5) return 'a boolean'
  if (first === 0xf7) return 'undefined'
  if (first >> 5 === 7 && first !== 0xf6) return 'a simple value'
  const isWide = first === 0x1b || first === 0x3b
  return isWide && BigInt(`0x${digits.slice(2)}`) >= 2n ** 53n ? 'beyond 2^53 - 1' : undefined
}

function isIndefinite(digits: string): boolean {
  return /(5f|7f|9f|bf)/.test(digits) && digits.includes('ff')
}

describe.skipIf(lacksSharedData)("other people's vectors", () => {
  test('valid dCBOR is accepted, but for floats and integers beyond 2^53 - 1', () => {
    const vectors = sharedJson('vectors/cbor/dcbor_valid.json') as CborVector[]
    const refused = vectors.filter((vector) => !isAccepted(vector.hex))
    expect(vectors).toHaveLength(40)
    expect(refused.filter((vector) => narrower(vector.hex) === undefined)).toEqual([])
    expect(refused.map((vector) => narrower(vector.hex)).filter((why) => why === 'a float')).toHaveLength(16)
    expect(vectors.filter((vector) => narrower(vector.hex) && isAccepted(vector.hex))).toEqual([])
  })

  test('invalid dCBOR is refused, but for text that is not normalized', () => {
    const vectors = sharedJson('vectors/cbor/dcbor_invalid_half.json') as CborVector[]
    expect(vectors).toHaveLength(19)
    // dCBOR wants NFC; RFC 8949 does not, and a file's name is what it is.
    const accepted = vectors.filter((vector) => isAccepted(vector.hex)).map((vector) => vector.hex)
    expect(accepted).toEqual(['6345cc88'])
  })

  test('the examples of RFC 8949 are accepted where they are deterministic and within the profile', () => {
    const vectors = sharedJson('vectors/cbor/appendix_a.json') as CborVector[]
    expect(vectors).toHaveLength(82)
    for (const vector of vectors) {
      const reason = narrower(vector.hex) ?? (isIndefinite(vector.hex) ? 'indefinite' : undefined)
      expect(isAccepted(vector.hex), `${vector.hex}: ${reason ?? 'allowed'}`).toBe(reason === undefined)
    }
  })
})

/** Values of the profile, as deep as they may be. */
const leaf: fc.Arbitrary<CborValue> = fc.oneof(
  count,
  count.map((value) => -value - 1).filter(Number.isSafeInteger),
  bytes(0, 40),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\uFEFF', 'é', 'e\u0301', null),
)
const nested = (inner: fc.Arbitrary<CborValue>): fc.Arbitrary<CborValue> =>
  fc.oneof(
    inner,
    fc.array(inner, { maxLength: 5 }),
    fc.array(fc.tuple(fc.oneof(count, fc.string()), inner), { maxLength: 5 }).map((pairs) => new Map(pairs)),
  )
const value = nested(nested(nested(nested(leaf))))

test('what is encoded is decoded to the same value', () => {
  fc.assert(
    fc.property(value, (given) => {
      const encoded = encodeCbor(given)
      const decoded = decodeCbor(encoded)
      expect(decoded).not.toBe(undefined)
      expect(decoded === undefined ? '' : hex(encodeCbor(decoded))).toBe(hex(encoded))
    }),
  )
})

test('cbor2 encodes each value to the same bytes, and decodes them', () => {
  fc.assert(
    fc.property(value, (given) => {
      const encoded = encodeCbor(given)
      expect(hex(encodeIndependently(given, cdeEncodeOptions))).toBe(hex(encoded))
      const decoded: unknown = decodeIndependently(Uint8Array.from(encoded))
      expect(hex(encodeIndependently(decoded, cdeEncodeOptions))).toBe(hex(encoded))
    }),
  )
})

test('of any bytes, only those are accepted that their value encodes to', () => {
  fc.assert(
    fc.property(bytes(0, 60), (given) => {
      const decoded = decodeCbor(given)
      expect(decoded === undefined || hex(encodeCbor(decoded)) === hex(given)).toBe(true)
    }),
    { numRuns: 3_000 },
  )
})

const hostile = [
  ['keys that are the same empty array', 'a2 8000 8001'],
  ['a key that is null', 'a1 f6 00'],
  ['a key that is a byte string', 'a1 40 00'],
  ['five arrays within each other', '81 81 81 81 81 00'],
  ['five maps within each other', 'a100 a100 a100 a100 a100 00'],
  ['an empty array in the fourth', '81 81 81 81 80 80'],
  ['a value that is followed by another', '00 00'],
  ['a break', 'ff'],
  ['-0.0', 'f98000'],
  ['-2^53', '3b001fffffffffffff'],
] as const

test.each(hostile)('%s is refused', (_name, digits) => {
  expect(isAccepted(digits)).toBe(false)
})

test.each([
  ['four arrays within each other', '81 81 81 81 00'],
  ['a leading U+FEFF', '63 efbbbf'],
  ['-(2^53 - 1)', '3b001ffffffffffffe'],
  ['null', 'f6'],
] as const)('%s is accepted', (_name, digits) => {
  expect(isAccepted(digits)).toBe(true)
})

test('an empty array in the fifth place counts as nested too', () => {
  expect(isAccepted('81 81 81 81 80')).toBe(true)
  expect(isAccepted('81 81 81 81 81 80')).toBe(false)
})

/** The fewest bytes that claim the most. */
const claims = ['5a', '7a', '9a', 'ba'].flatMap((head) => [`${head}ffffffff`, `${head}7fffffff00000000`])
const wideClaims = ['5b', '7b', '9b', 'bb'].flatMap((head) => [
  `${head}001fffffffffffff00`,
  `${head}ffffffffffffffff00`,
])

test('an item that claims more than there is costs no memory', () => {
  for (const digits of [...claims, ...wideClaims]) {
    const before = process.memoryUsage()
    expect(isAccepted(digits)).toBe(false)
    const after = process.memoryUsage()
    expect(after.rss - before.rss + after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 2 ** 20)
  }
})

test('4 KiB that nest as deep as they can are refused at once', () => {
  const start = process.cpuUsage()
  for (const item of ['81', 'a1', 'a100', 'c1', '9f', 'bf'])
    expect(isAccepted(`${item.repeat(2_000)}00`)).toBe(false)
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(500)
})

test('every head is read back, and no longer one is accepted', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(2, 4, 6),
      fc.oneof(fc.nat(2 ** 31 - 1), fc.nat(300), fc.constant(2 ** 32 - 1)),
      (type, argument) => {
        const head = encodeHead(type, argument)
        expect(readHead(head, 0)).toEqual({ is: 'whole', major: type, value: argument, end: head.length })
        for (const longer of longerHeads(type, argument, head.length))
          expect(readHead(longer, 0).is).toBe('malformed')
      },
    ),
  )
})

function longerHeads(type: number, argument: number, than: number): Uint8Array[] {
  return [1, 2, 4]
    .filter((width) => 1 + width > than)
    .map((width) => {
      const info = 24 + Math.log2(width)
      const digits = argument.toString(16).padStart(2 * width, '0')
      return Buffer.concat([Uint8Array.of((type << 5) | info), Buffer.from(digits, 'hex')])
    })
}
