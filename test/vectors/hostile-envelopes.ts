import { body, good, hexaSigner, record, refusedAs, type HostileRecord } from './hostile-record.ts'
import { stranger, testKeys } from './keys.ts'
import { assemble, byteString, headerOf, hexOf, payloadWith, textString } from './raw.ts'
import { dataOf, text } from './samples.ts'

export function malformedEnvelopes(): HostileRecord[] {
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

export function unknownKeys(): HostileRecord[] {
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
