import { sha256 } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { payload, record, refusedAs, type HostileRecord } from './hostile-record.ts'
import { byteString, bytesOf, hexOf, payloadWith, textString, type FieldChanges } from './raw.ts'
import { closeOf, dataOf, lines, linesFrame, lossOf, text, zstdOf } from './samples.ts'

export function malformedManifests(): HostileRecord[] {
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

export function invalidManifests(): HostileRecord[] {
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
