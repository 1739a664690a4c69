import type { RefusalCode } from '../../protocol/refusal.ts'
import { testKeys } from './keys.ts'
import { assemble, byteString, payloadWith, type RecordParts } from './raw.ts'
import { dataOf, text } from './samples.ts'

export interface HostileRecord {
  readonly id: string
  readonly why: string
  readonly hex: string
  readonly refusal: RefusalCode
}

export const hexaSigner = testKeys.hexa.signer
export const payload = payloadWith(dataOf(text))
export const body = byteString(text)
export const good = { payload, body }
export const goodHex = assemble(hexaSigner, good)

/** Makes the vectors of one refusal. */
export const refusedAs = (refusal: RefusalCode) => (id: string, why: string, hex: string) => ({
  id,
  why,
  hex,
  refusal,
})
export const record = (parts: Partial<RecordParts>) => assemble(hexaSigner, { ...good, ...parts })
