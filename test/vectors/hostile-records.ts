import { createHash } from 'node:crypto'
import { sha256, type Digest } from '../../protocol/ids.ts'
import type { DataManifest, Manifest } from '../../protocol/manifest.ts'
import type { RefusalCode } from '../../protocol/refusal.ts'
import { quad, stranger, testKeys } from './keys.ts'
import {
  assemble,
  bytesOf,
  byteString,
  headerOf,
  hexOf,
  payloadWith,
  textString,
  withBitFlipped,
  type FieldChanges,
  type RecordParts,
} from './raw.ts'
import { closeOf, dataOf, lines, linesFrame, lossOf, text, zstdOf } from './samples.ts'

export interface HostileRecord {
  readonly id: string
  readonly why: string
  readonly hex: string
  readonly refusal: RefusalCode
}

const hexaSigner = testKeys.hexa.signer
const payload = payloadWith(dataOf(text))
const body = byteString(text)
const good = { payload, body }
const goodHex = assemble(hexaSigner, good)

/** Makes the vectors of one refusal. */
const refusedAs = (refusal: RefusalCode) => (id: string, why: string, hex: string) => ({
  id,
  why,
  hex,
  refusal,
})
const record = (parts: Partial<RecordParts>) => assemble(hexaSigner, { ...good, ...parts })

function malformedRecords(): HostileRecord[] {
  const malformed = refusedAs('RECORD_MALFORMED')
  const header = headerOf(hexaSigner)
  const headerLength = bytesOf(header).length.toString(16)
  const keyIdItem = byteString(hexaSigner.publicKey.id)
  return [
    malformed('empty', 'no byte at all', ''),
    malformed('half', 'cut in the middle', goodHex.slice(0, goodHex.length / 2 - (goodHex.length % 4) / 2)),
    malformed('trailing', 'a byte after the record', record({ after: '00' })),
    malformed('record-tag-wrong', 'tag 0x4c6f6763', record({ opening: 'da4c6f6763 82' })),
    malformed(
      'record-tag-long',
      'the tag with an argument of 8 bytes',
      record({ opening: 'db000000004c6f6762 82' }),
    ),
    malformed('record-tag-missing', 'an array without the tag', record({ opening: '82' })),
    malformed('record-array-of-3', 'an element too many', record({ opening: 'da4c6f6762 83', after: 'f6' })),
    malformed('record-array-long', 'the array head is not minimal', record({ opening: 'da4c6f6762 9802' })),
    malformed('record-array-open', 'an indefinite array', record({ opening: 'da4c6f6762 9f', after: 'ff' })),
    malformed('envelope-untagged', 'tag 18 is missing', record({ coseOpening: '84' })),
    malformed('envelope-tag-17', 'a COSE_Mac0', record({ coseOpening: 'd1 84' })),
    malformed('envelope-tag-long', 'tag 18 is not minimal', record({ coseOpening: 'd812 84' })),
    malformed(
      'envelope-array-open',
      'an indefinite array',
      record({ coseOpening: 'd2 9f', body: `ff${body}` }),
    ),
    malformed(
      'envelope-array-of-5',
      'an element too many',
      record({ coseOpening: 'd2 85', body: `f6${body}` }),
    ),
    malformed(
      'header-head-long',
      'its head is not minimal',
      record({ headerItem: `5900${headerLength}${header}` }),
    ),
    malformed(
      'header-item-open',
      'an indefinite byte string',
      record({ headerItem: `5f58${headerLength}${header}ff` }),
    ),
    malformed(
      'header-and-crit',
      'a header with `crit` and all else is longer than the one allowed header',
      record({ header: header.replace('a3 0127', 'a4 0127 0281 19270f') }),
    ),
    malformed(
      'key-id-unprotected',
      'the unprotected header must be empty',
      record({ header: `a2 0127 10${textString('logbox-manifest')}`, unprotected: `a104${keyIdItem}` }),
    ),
    malformed('key-id-twice', 'in both headers', record({ unprotected: `a104${keyIdItem}` })),
    malformed(
      'algorithm-unprotected',
      'the algorithm stands in the unprotected header only',
      record({ header: '', unprotected: 'a10127' }),
    ),
    malformed('unprotected-open', 'an indefinite map', record({ unprotected: 'bfff' })),
    malformed('payload-null', 'a detached payload', record({ payloadItem: 'f6' })),
    malformed(
      'payload-text',
      'the payload is a text string',
      record({ payloadItem: textString('manifest') }),
    ),
    malformed(
      'payload-head-long',
      'its head is not minimal',
      record({ payloadItem: `5a0000${lengthHex(payload)}${hexOf(payload)}` }),
    ),
    malformed('payload-head-8', 'a length in 8 bytes', record({ payloadItem: '5b0000000000000001 00' })),
    malformed(
      'signature-65',
      'a byte too many',
      record({ signature: (message) => Buffer.concat([hexaSigner.sign(message), Buffer.of(0)]) }),
    ),
    malformed('body-text', 'the body is a text string', record({ body: textString('a') })),
    malformed('body-undefined', 'withheld is null, nothing else', record({ body: 'f7' })),
    malformed('body-false', 'withheld is null, nothing else', record({ body: 'f4' })),
    malformed('body-open', 'an indefinite byte string', record({ body: `5f${body}ff` })),
    malformed(
      'body-head-long',
      'its head is not minimal',
      record({ body: `5900${text.length.toString(16)}${hexOf(text)}` }),
    ),
    malformed('body-head-8', 'a length in 8 bytes', record({ body: '5b0000000000800000' })),
    malformed('body-missing', 'the record ends after the envelope', record({ body: '' })),
  ]
}

const lengthHex = (bytes: Uint8Array): string => bytes.length.toString(16).padStart(4, '0')

function largeRecords(): HostileRecord[] {
  const tooLarge = refusedAs('RECORD_TOO_LARGE')
  return [
    tooLarge(
      'manifest-4097',
      'refused by its head, before its bytes are there',
      record({ payloadItem: '591001' }).slice(0, 100),
    ),
    tooLarge('manifest-4-gib', 'the same', record({ payloadItem: '5affffffff' }).slice(0, 104)),
    tooLarge('body-8-mib-and-1', 'the same', record({ body: '5a00800001' })),
    tooLarge('body-4-gib', 'the same', record({ body: '5affffffff' })),
  ]
}

function malformedEnvelopes(): HostileRecord[] {
  const malformed = refusedAs('ENVELOPE_MALFORMED')
  const keyIdItem = byteString(hexaSigner.publicKey.id)
  const type = textString('logbox-manifest')
  const header = (id: string, why: string, hex: string) =>
    malformed(`header-${id}`, why, record({ header: hex }))
  return [
    header('empty', 'nothing is protected', ''),
    header('es256', 'another algorithm', `a3 0126 04${keyIdItem} 10${type}`),
    header('ed25519', 'the algorithm of RFC 9864 is another number', `a3 0132 04${keyIdItem} 10${type}`),
    header('algorithm-text', 'the algorithm by name', `a2 01${textString('EdDSA')} 04${keyIdItem}`),
    header(
      'algorithm-long',
      '-8 that is not minimal',
      `a3 013807 04${keyIdItem} 10${textString('logbox-receip')}`,
    ),
    header('no-algorithm', 'the algorithm is missing', `a2 04${keyIdItem} 10${type}`),
    header('no-type', 'the type is missing', `a2 0127 04${keyIdItem}`),
    header('type-receipt', 'the type is that of a receipt', headerOf(hexaSigner, 'logbox-receipt')),
    header('crit', '`crit` is never allowed', `a3 0127 028110 04${keyIdItem}`),
    header('crit-unknown', '`crit` names a label that nobody knows', `a3 0127 0281 19270f 04${keyIdItem}`),
    header('label-twice', 'a duplicate label', `a3 0127 0127 04${keyIdItem}`),
    header('unsorted', 'labels out of order', `a3 04${keyIdItem} 0127 10${type}`),
    header(
      'key-id-7',
      'a key id of 7 bytes',
      `a3 0127 0447${hexOf(hexaSigner.publicKey.id.subarray(1))} 10${type}`,
    ),
    header('open', 'an indefinite map', `bf 0127 04${keyIdItem} ff`),
    header('not-a-map', 'an array', '83 01 27 04'),
    header('trailing', 'bytes after the map', `a2 0127 04${keyIdItem} 00`),
  ]
}

function malformedManifests(): HostileRecord[] {
  const malformed = refusedAs('MANIFEST_MALFORMED')
  const signed = (id: string, why: string, bytes: Uint8Array) =>
    malformed(`manifest-${id}`, why, record({ payload: bytes }))
  const changed = (id: string, why: string, changes: FieldChanges) =>
    signed(id, why, payloadWith(dataOf(text), changes))
  const hex = hexOf(payload)
  return [
    signed('empty', 'no byte at all', new Uint8Array(0)),
    signed('not-cbor', 'bytes that are no CBOR', bytesOf('ff')),
    signed('array', 'not a map', bytesOf('80')),
    signed('text', 'JSON', bytesOf(textString('{"version":1}'))),
    signed('trailing', 'a byte after the map', bytesOf(`${hex}00`)),
    signed('cut', 'the last byte is missing', payload.subarray(0, -1)),
    signed('map-head-long', 'its head is not minimal', bytesOf(`b813${hex.slice(2)}`)),
    signed('open', 'an indefinite map', bytesOf(`bf${hex.slice(2)}ff`)),
    signed('key-twice', 'key 0 twice', bytesOf(`b4 0001 ${hex.slice(2)}`)),
    signed('unsorted', 'key 1 before key 0', bytesOf(`b3 0100 0001 ${hex.slice(10)}`)),
    signed('key-long', 'key 0 that is not minimal', bytesOf(`b3 1800 ${hex.slice(4)}`)),
    signed('array-keys-twice', 'two keys that are the same empty array', bytesOf('a2 8000 8001')),
    signed('bytes-key', 'a key that is a byte string', bytesOf('a1 4000')),
    signed('nested', 'arrays within each other, 4000 deep', bytesOf(`${'81'.repeat(4000)}00`)),
    signed('claims-4-gib', 'an array that claims 2^32 - 1 items', bytesOf('9affffffff')),
    changed('version-long', '1 that is not minimal', { 0: '1801' }),
    changed('float-whole', 'an offset of 0.0', { 12: 'f90000' }),
    changed('float', 'an offset of 1.5', { 12: 'f93e00' }),
    changed('float-nan', 'an offset that is no number', { 12: 'f97e00' }),
    changed('float-minus-zero', 'an offset of -0.0', { 12: 'f98000' }),
    changed('integer-2-53', '2^53: not every reader holds it exactly', { 12: '1b0020000000000000' }),
    changed('integer-2-64', '2^64 - 1', { 12: '1bffffffffffffffff' }),
    changed('float-2-53', '2^53 as a float', { 12: 'fa5a000000' }),
    changed('bignum', 'an offset as a big integer', { 12: 'c24101' }),
    changed('tag', 'a tagged time', { 6: 'c11a514b67b0' }),
    changed('boolean', 'true', { 12: 'f5' }),
    changed('undefined', 'undefined', { 12: 'f7' }),
    changed('simple', 'another simple value', { 12: 'f0' }),
    changed('path-not-utf-8', 'a text string that is not UTF-8', { 11: '622fff' }),
    changed('path-surrogate', 'a text string with a surrogate', { 11: '642feda080' }),
    changed('path-open', 'an indefinite text string', { 11: '7f612fff' }),
    changed('hash-open', 'an indefinite byte string', { 14: `5f${byteString(sha256(text))}ff` }),
    changed('tag-name-twice', 'the same tag twice', { 18: 'a2 6161 6162 6161 6163' }),
    changed('tags-unsorted', 'tags out of order', { 18: 'a2 6162 6161 6161 6162' }),
  ]
}

function invalidManifests(): HostileRecord[] {
  const invalid = refusedAs('MANIFEST_INVALID')
  const of = (manifest: Manifest) => (id: string, why: string, changes: FieldChanges) =>
    invalid(`invalid-${id}`, why, record({ payload: payloadWith(manifest, changes) }))
  const data = of(dataOf(text))
  const loss = of(lossOf())
  const close = of(closeOf(text))
  const zstd = of(zstdOf(lines, linesFrame))
  const missing = Array.from({ length: 19 }, (_, key) =>
    data(`without-${key}`, `key ${key} is missing`, { [key]: undefined }),
  )
  return [
    ...missing,
    invalid('invalid-empty-map', 'nothing in it', record({ payload: bytesOf('a0') })),
    data('version-2', 'another version', { 0: '02' }),
    data('kind-3', 'a kind that is kept for later', { 1: '03' }),
    data('kind-text', 'the kind by name', { 1: textString('data') }),
    data('device-empty', 'a device without a name', { 2: '60' }),
    data('device-65', 'a name of 65 characters', { 2: textString('d'.repeat(65)) }),
    data('device-uppercase', 'an uppercase letter', { 2: textString('Hexa-7') }),
    data('device-slash', 'a slash', { 2: textString('a/b') }),
    data('device-dots', 'a name that is a folder', { 2: textString('..') }),
    data('device-newline', 'a newline at the end', { 2: textString('hexa-7\n') }),
    data('device-bytes', 'bytes, not text', { 2: '46 686578612d37' }),
    data('epoch-negative', 'a negative number', { 3: '20' }),
    data('seq-negative', 'a negative number', { 4: '20' }),
    data('seq-text', 'a number in text', { 4: '6130' }),
    data('prev-31', 'a hash of 31 bytes', { 5: byteString(Buffer.alloc(31)) }),
    data('prev-null', 'the first record has 32 zero bytes here', { 5: 'f6' }),
    data('wall-negative', 'a time before 1970: a drone that has it writes 0', { 6: '20' }),
    data('boot-15', 'a boot id of 15 bytes', { 8: byteString(Buffer.alloc(15)) }),
    data('clock-3', 'a clock state that does not exist', { 9: '03' }),
    data('stream-15', 'a stream id of 15 bytes', { 10: byteString(Buffer.alloc(15)) }),
    data('stream-text', 'a stream id in text', { 10: textString('wMDAwMDAwMDAwMDAwMDAwA') }),
    data('path-empty', 'no path', { 11: '60' }),
    data('path-empty-bytes', 'no path, in bytes', { 11: '40' }),
    data('path-nul', 'no file has NUL in its name', { 11: textString('/log/\0') }),
    data('path-nul-bytes', 'no file has NUL in its name', { 11: '44 2fff0061' }),
    data('path-2049', 'a byte too many', { 11: textString('p'.repeat(2049)) }),
    data('path-2049-bytes', 'a byte too many', { 11: byteString(Buffer.alloc(2049, 0xff)) }),
    data('path-utf-8-in-bytes', 'a path that is UTF-8 must be text', { 11: byteString(Buffer.from('/log')) }),
    data('path-number', 'not text, not bytes', { 11: '00' }),
    data('offset-negative', 'a negative number', { 12: '20' }),
    data('end-2-53', 'the end of the chunk reaches 2^53', { 12: '1b001fffffffffffff' }),
    data('length-0', 'a data record holds at least one byte', { 13: '00', 16: '00' }),
    data('length-8-mib-and-1', 'more than a record may hold', { 13: '1a00800001', 16: '1a00800001' }),
    data('length-null', 'only a loss may not know its length', { 13: 'f6' }),
    data('hash-33', 'a hash of 33 bytes', { 14: byteString(Buffer.alloc(33)) }),
    data('hash-text', 'a hash in text', { 14: textString('a'.repeat(32)) }),
    data('encoding-2', 'an encoding that does not exist', { 15: '02' }),
    data('identity-shorter', 'as it stands, but shorter than the content', { 16: '01' }),
    zstd('body-0', 'an empty body', { 16: '00' }),
    zstd('body-larger', 'a body that is longer than its content', { 16: '190151' }),
    data('tags-array', 'tags that are no map', { 18: '80' }),
    data('tags-null', 'no tags are an empty map', { 18: 'f6' }),
    data('tag-name-empty', 'a tag without a name', { 18: 'a1 60 6161' }),
    data('tag-name-65', 'a name of 65 bytes', { 18: `a1 ${textString('n'.repeat(65))} 60` }),
    data('tag-number', 'a value that is no text', { 18: 'a1 6161 01' }),
    data('tag-key-number', 'a name that is no text', { 18: 'a1 01 6161' }),
    data('tags-1025', 'a byte too many', { 18: `a1 6161 ${textString('v'.repeat(1019))}` }),
    data('reason', 'a field of another kind', { 19: textString('truncated') }),
    data('key-20', 'a field that does not exist', { 20: '00' }),
    data('key-24', 'a field that does not exist', { 24: '00' }),
    loss('loss-0', 'a loss of nothing', { 13: '00' }),
    loss('loss-end-2-53', 'the end reaches 2^53', { 12: '1b001fffffffffffff' }),
    loss('loss-reason', 'a reason that does not exist', { 19: textString('boredom') }),
    loss('loss-reason-number', 'a reason that is no text', { 19: '00' }),
    loss('loss-without-reason', 'no reason', { 19: undefined }),
    loss('loss-hash', 'a field of another kind', { 14: byteString(sha256(text)) }),
    close('close-without-hash', 'no hash', { 14: undefined }),
    close('close-offset', 'a field of another kind', { 12: '00' }),
    close('close-length-null', 'a length that nobody knows', { 13: 'f6' }),
  ]
}

function unknownKeys(): HostileRecord[] {
  const unknown = refusedAs('KEY_UNKNOWN')
  const nobody = payloadWith({ ...dataOf(text), device: stranger })
  return [
    unknown('key-unregistered', 'nobody registered this key', assemble(testKeys.unregistered.signer, good)),
    unknown(
      'key-of-another-device',
      "a registered key, but another device's",
      assemble(testKeys.quad.signer, good),
    ),
    refusedAs('DEVICE_UNKNOWN')(
      'device-unknown',
      'no such device',
      assemble(testKeys.hexa.signer, { payload: nobody, body }),
    ),
    refusedAs('KEY_REVOKED')('key-revoked', 'the key was revoked', assemble(testKeys.revoked.signer, good)),
  ]
}

/** L, the order of the base point (RFC 8032, section 5.1). */
const groupOrder = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n

/** The same signature with S + L: the equation holds as well, and tweetnacl accepts it. */
function plusGroupOrder(signature: Uint8Array): Uint8Array {
  const s = integerOf(signature.subarray(32)) + groupOrder
  return Buffer.concat([signature.subarray(0, 32), littleEndian(s)])
}

/**
 * A signature by the key of RFC 8032's TEST 1 with R = the neutral point and S = h × a, so that S × B = R + h × A.
 * tweetnacl accepts it.
 */
function signedWithIdentity(message: Uint8Array): Uint8Array {
  const { seed, signer } = testKeys.hexa
  const r = bytesOf(`01${'00'.repeat(31)}`)
  const secret = integerOf(clamped(sha512(seed).subarray(0, 32)))
  const h = integerOf(sha512(Buffer.concat([r, signer.publicKey.bytes, message])))
  return Buffer.concat([r, littleEndian((h * secret) % groupOrder)])
}

const sha512 = (bytes: Uint8Array): Uint8Array => createHash('sha512').update(bytes).digest()
const integerOf = (bytes: Uint8Array): bigint => BigInt(`0x${hexOf(bytes.toReversed())}`)
const littleEndian = (value: bigint): Uint8Array => bytesOf(value.toString(16).padStart(64, '0')).toReversed()

/** RFC 8032, section 5.1.5, step 2. */
function clamped(scalar: Uint8Array): Uint8Array {
  const low = (scalar[0] ?? 0) & 0xf8
  const high = ((scalar[31] ?? 0) & 0x7f) | 0x40
  return scalar.with(0, low).with(31, high)
}

const withR = (r: string) => (signature: Uint8Array) => Buffer.concat([bytesOf(r), signature.subarray(32)])

function wrongSignatures(): HostileRecord[] {
  const wrong = refusedAs('SIGNATURE_WRONG')
  const altered = (id: string, why: string, alter: (signature: Uint8Array) => Uint8Array) =>
    wrong(`signature-${id}`, why, record({ signature: (message) => alter(hexaSigner.sign(message)) }))
  return [
    altered('bit-of-r', 'one bit of R flipped', (signature) => withBitFlipped(signature, 0)),
    altered('bit-of-s', 'one bit of S flipped', (signature) => withBitFlipped(signature, 300)),
    altered('s-plus-l', 'S + L: S must be below L', plusGroupOrder),
    wrong(
      'signature-r-identity',
      'R is the neutral point, and the equation holds: the owner of a key can make such a signature',
      record({ signature: signedWithIdentity }),
    ),
    altered('r-not-canonical', 'R with y = p + 1', withR(`ee${'ff'.repeat(30)}7f`)),
    altered(
      'r-order-8',
      'R is a point of order 8',
      withR('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
    ),
    altered('zero', '64 zero bytes', () => new Uint8Array(64)),
    altered('empty', 'no signature', () => new Uint8Array(0)),
    altered('63', 'a byte too few', (signature) => signature.subarray(0, 63)),
    wrong(
      'signature-of-another-key',
      'another key under this key id',
      record({ signature: (message) => testKeys.quad.signer.sign(message) }),
    ),
    wrong('signature-context', 'signed as Signature, not as Signature1', record({ context: 'Signature' })),
    wrong('signature-external', 'signed with external data', record({ externalData: bytesOf('78') })),
    wrong(
      'signature-bare',
      'the manifest signed without the COSE structure',
      record({ signature: () => hexaSigner.sign(payload) }),
    ),
    wrong(
      'manifest-altered',
      'another seq than was signed',
      record({ payloadItem: byteString(payloadWith(dataOf(text), { 4: '01' })) }),
    ),
  ]
}

function wrongBodies(): HostileRecord[] {
  const unexpected = refusedAs('BODY_UNEXPECTED')
  const length = refusedAs('BODY_LENGTH_WRONG')
  const hash = refusedAs('BODY_HASH_WRONG')
  return [
    unexpected('body-of-a-loss', 'a loss has no body', record({ payload: payloadWith(lossOf()) })),
    unexpected(
      'body-of-a-close',
      'nor has a close, not even an empty one',
      record({ payload: payloadWith(closeOf(text)), body: '40' }),
    ),
    length('body-empty', 'empty is not withheld', record({ body: '40' })),
    length('body-shorter', 'a byte too few', record({ body: byteString(text.subarray(1)) })),
    length(
      'body-longer',
      'a byte too many',
      record({ body: byteString(Buffer.concat([text, text.subarray(0, 1)])) }),
    ),
    hash('body-bit', 'one bit flipped', record({ body: byteString(withBitFlipped(text, 7)) })),
    hash(
      'body-of-another-record',
      'as long, but others',
      record({ body: byteString(Buffer.alloc(text.length, 'x')) }),
    ),
  ]
}

const zstdMagic = '28b52ffd'
const run = '230300 61'
const hundredOfA = Buffer.alloc(100, 'a')

function zstdRecord(frame: Uint8Array, changes: Partial<DataManifest> = {}): string {
  return record({ payload: payloadWith(zstdOf(hundredOfA, frame, changes)), body: byteString(frame) })
}

function wrongFrames(): HostileRecord[] {
  const undecodable = refusedAs('BODY_UNDECODABLE')
  const frame = (id: string, why: string, hex: string, changes: Partial<DataManifest> = {}) =>
    undecodable(`zstd-${id}`, why, zstdRecord(bytesOf(hex), changes))
  const good = `${zstdMagic} 2064 ${run}`
  const half = `${zstdMagic} 2032 930100 61`
  const bomb = `${zstdMagic} a000000040 ${'020010 61'.repeat(15)} 030010 61`
  return [
    frame('garbage', 'no frame at all', '00'.repeat(20)),
    frame('cut', 'the last byte is missing', good.slice(0, -2)),
    frame('header-only', 'a frame without blocks', `${zstdMagic} 2064`),
    frame('trailing', 'a byte after the frame', `${good} 00`),
    frame('two-frames', 'two frames that together give what was signed', `${half} ${half}`),
    frame('empty-frame-after', 'an empty frame after the frame', `${good} ${zstdMagic} 2000 010000`),
    frame('empty-frame-before', 'an empty frame before the frame', `${zstdMagic} 2000 010000 ${good}`),
    frame('skippable-after', 'a skippable frame after the frame', `${good} 502a4d18 00000000`),
    frame(
      'skippable-only',
      'a skippable frame, which has no content',
      '502a4d18 0c000000 00000000 00000000 00000000',
    ),
    frame('skippable-before', 'a skippable frame before the frame', `502a4d18 00000000 ${good}`),
    frame('one-byte-more', 'inflates to 101 bytes where 100 are signed', `${zstdMagic} 2065 2b0300 61`),
    frame('bomb', 'claims 1 GiB and inflates to 2 MiB where 100 bytes are signed', bomb),
    frame('window-16-mib', 'wants a window of 16 MiB', `${zstdMagic} 0070 ${run}`),
    frame('window-2-gib', 'wants a window of 2 GiB', `${zstdMagic} 00a8 ${run}`),
    frame('dictionary', 'wants a dictionary', `${zstdMagic} 2101 64 ${run}`),
    frame('reserved-bit', 'the reserved bit of the frame header', `${zstdMagic} 2864 ${run}`),
    frame('checksum', 'a wrong checksum', `${zstdMagic} 2464 ${run} 00000000`),
    frame('size-wrong', 'the content is not as long as the frame header says', `${zstdMagic} 2063 ${run}`),
  ]
}

function wrongContents(): HostileRecord[] {
  const frame = bytesOf(`${zstdMagic} 2064 ${run}`)
  const otherHash = sha256(Buffer.alloc(100, 'b'))
  return [
    refusedAs('CONTENT_LENGTH_WRONG')(
      'zstd-one-byte-less',
      'inflates to 100 bytes where 101 are signed',
      zstdRecord(frame, { length: 101 }),
    ),
    refusedAs('CONTENT_HASH_WRONG')(
      'zstd-other-content',
      'inflates to other bytes than are signed',
      zstdRecord(frame, { sha256: otherHash }),
    ),
    refusedAs('CONTENT_HASH_WRONG')(
      'identity-other-content',
      'as it stands, but the two signed hashes differ',
      record({ payload: payloadWith(dataOf(text, { sha256: Buffer.alloc(32, 1) as Uint8Array as Digest })) }),
    ),
  ]
}

const unsigned = (): Uint8Array => new Uint8Array(64)

const mixed = (id: string, refusal: RefusalCode, why: string, parts: Partial<RecordParts>) =>
  refusedAs(refusal)(`first-${id}`, why, record({ signature: unsigned, ...parts }))

/** Two things wrong at once: the check that comes first names the refusal. */
function firstWrong(): HostileRecord[] {
  const unregistered = headerOf(testKeys.unregistered.signer)
  return [
    mixed('frame', 'RECORD_MALFORMED', 'framing before the header', { header: '', body: 'f7' }),
    mixed('header', 'ENVELOPE_MALFORMED', 'the header before the manifest', {
      header: '',
      payload: bytesOf('80'),
    }),
    mixed('manifest', 'MANIFEST_MALFORMED', 'the manifest before the key', {
      header: unregistered,
      payload: bytesOf('80'),
    }),
    mixed('key', 'KEY_UNKNOWN', 'the key before the signature', { header: unregistered }),
    mixed('signature', 'SIGNATURE_WRONG', 'the signature before the body', { body: '40' }),
    mixed('quad', 'KEY_UNKNOWN', "the key of the manifest's device counts", {
      payload: payloadWith({ ...dataOf(text), device: quad }),
    }),
  ]
}

export const hostileRecords: readonly HostileRecord[] = [
  ...malformedRecords(),
  ...largeRecords(),
  ...malformedEnvelopes(),
  ...malformedManifests(),
  ...invalidManifests(),
  ...unknownKeys(),
  ...wrongSignatures(),
  ...wrongBodies(),
  ...wrongFrames(),
  ...wrongContents(),
  ...firstWrong(),
]
