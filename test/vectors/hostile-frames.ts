import {
  body,
  goodHex,
  hexaSigner,
  payload,
  record,
  refusedAs,
  type HostileRecord,
} from './hostile-record.ts'
import { byteString, bytesOf, headerOf, hexOf, textString } from './raw.ts'
import { text } from './samples.ts'

export function malformedRecords(): HostileRecord[] {
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

export function largeRecords(): HostileRecord[] {
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
