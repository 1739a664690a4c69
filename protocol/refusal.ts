/**
 * Why bytes from outside were not accepted. The codes are part of the wire format: they stand in receipts and in
 * problem+json, and never change their meaning.
 */
export const refusals = {
  RECORD_MALFORMED: 'the bytes are not a Logbox record in its one allowed encoding',
  RECORD_TOO_LARGE: 'the record is larger than the limits allow',
  ENVELOPE_MALFORMED: 'the COSE_Sign1 headers are not exactly the ones this format allows',
  SIGNATURE_WRONG: 'the signature is not valid under the key it names',
  MANIFEST_MALFORMED: 'the manifest is not deterministic CBOR',
  MANIFEST_INVALID: 'the manifest does not have the fields its kind needs',
  KEY_UNKNOWN: 'no registered key of this device has this key id',
  KEY_REVOKED: 'the key was revoked',
  DEVICE_UNKNOWN: 'no device of this name is registered',
  DEVICE_MIXED: 'the record is of another device than the first one in its batch',
  BODY_UNEXPECTED: 'a record of this kind has no body',
  BODY_LENGTH_WRONG: 'the body is not as long as the manifest signs',
  BODY_HASH_WRONG: 'the body does not have the hash that the manifest signs',
  BODY_UNDECODABLE: 'the body is not one whole frame of its encoding, or inflates to more than was signed',
  CONTENT_LENGTH_WRONG: 'the decoded body is not as long as the manifest signs',
  CONTENT_HASH_WRONG: 'the decoded body does not have the hash that the manifest signs',
  RECEIPT_INVALID: 'the receipt is not one that this server key signed for this device',
  QUERY_INVALID: 'the bytes are not a query of a device in its one allowed encoding',
  STREAMS_INVALID: 'the list of streams is not one that this server key signed for this query',
} as const

export type RefusalCode = keyof typeof refusals

export type Accepted<T> = { readonly ok: true; readonly value: T }
export type Refused = { readonly ok: false; readonly refusal: RefusalCode }

/** An expected answer about bytes from outside: the value, or why not. Nothing that judges such bytes throws. */
export type Verdict<T> = Accepted<T> | Refused

export const accept = <T>(value: T): Accepted<T> => ({ ok: true, value })
export const refuse = (refusal: RefusalCode): Refused => ({ ok: false, refusal })

/** Whether this may be a code, also one that only a later version knows: 1 to 48 of A-Z 0-9 _, a letter first. */
export const isRefusalText = (text: string): boolean => /^[A-Z][A-Z0-9_]{0,47}$/.test(text)
