import { createHash } from 'node:crypto'

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** The name of a drone: 1 to 64 of a-z 0-9 . _ - */
export type DeviceId = Branded<string, 'DeviceId'>
/** One generation of one file: 16 random bytes, written as 22 characters of base64url. */
export type StreamId = Branded<string, 'StreamId'>
/** The number of one chain; a later chain of a device has a larger number wherever the device had a clock. */
export type Epoch = Branded<number, 'Epoch'>
/** The place of a record in its chain, counted from 0. */
export type Sequence = Branded<number, 'Sequence'>
/** A place in a file, in bytes from its start. */
export type ByteOffset = Branded<number, 'ByteOffset'>
/** A SHA-256 value: 32 bytes. */
export type Digest = Branded<Uint8Array, 'Digest'>
/** The first 8 bytes of the SHA-256 of a public key, which is how an envelope names its signer. */
export type KeyId = Branded<Uint8Array, 'KeyId'>

export const streamIdBytes = 16
export const digestBytes = 32
export const keyIdBytes = 8

/** undefined where the text is no name of a drone. */
export function parseDeviceId(text: string): DeviceId | undefined {
  // "." and ".." fit the alphabet, but name folders.
  return /^[a-z0-9._-]{1,64}$/.test(text) && !/^\.\.?$/.test(text) ? (text as DeviceId) : undefined
}

/** Base64url without padding of exactly `length` bytes, in its one canonical spelling. */
export function parseBase64url(text: string, length: number): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === length && bytes.toString('base64url') === text ? bytes : undefined
}

/** Without padding (RFC 4648, section 5). */
export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

/** undefined where the text is not 22 characters of base64url in their canonical spelling. */
export function parseStreamId(text: string): StreamId | undefined {
  return parseBase64url(text, streamIdBytes) ? (text as StreamId) : undefined
}

/** undefined where these are not 16 bytes. */
export function streamIdFrom(bytes: Uint8Array): StreamId | undefined {
  return bytes.length === streamIdBytes ? (base64url(bytes) as StreamId) : undefined
}

export function streamIdToBytes(stream: StreamId): Uint8Array {
  return Buffer.from(stream, 'base64url')
}

/** Whether it is a whole number from 0 that a double holds exactly; -0, which CBOR writes otherwise, is none. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)
}

export function parseEpoch(value: unknown): Epoch | undefined {
  return isCount(value) ? (value as Epoch) : undefined
}

export function parseSequence(value: unknown): Sequence | undefined {
  return isCount(value) ? (value as Sequence) : undefined
}

export function parseByteOffset(value: unknown): ByteOffset | undefined {
  return isCount(value) ? (value as ByteOffset) : undefined
}

/** undefined where it is not 32 bytes. */
export function parseDigest(value: unknown): Digest | undefined {
  return value instanceof Uint8Array && value.length === digestBytes ? (value as Digest) : undefined
}

export function sha256(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest() as Uint8Array as Digest
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** The place before which nothing stands: the `prev` of a chain's first record. */
export const noDigest = new Uint8Array(digestBytes) as Digest
