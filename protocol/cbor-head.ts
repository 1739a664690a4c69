/**
 * The head of a CBOR data item (RFC 8949, section 3) in its shortest form. Records are framed with it by hand, because
 * a frame must be found while its bytes are still arriving, and a megabyte of body not be copied to find its end.
 */
export const major = { bytes: 2, array: 4, tag: 6 } as const

export type HeadScan =
  | { readonly is: 'whole'; readonly major: number; readonly value: number; readonly end: number }
  /** Nothing can be said before the input holds `needed` bytes. */
  | { readonly is: 'cut'; readonly needed: number }
  | { readonly is: 'malformed' }

/** The largest argument that is read: 2^32 - 1. No length of this format comes near it. */
export function readHead(bytes: Uint8Array, start: number): HeadScan {
  const first = bytes[start]
  if (first === undefined) return { is: 'cut', needed: start + 1 }
  const info = first & 0x1f
  if (info < 24) return { is: 'whole', major: first >> 5, value: info, end: start + 1 }
  const width = argumentWidths[info - 24]
  if (width === undefined) return { is: 'malformed' }
  const end = start + 1 + width
  if (end > bytes.length) return { is: 'cut', needed: end }
  let value = 0
  for (let at = start + 1; at < end; at++) value = value * 256 + (bytes[at] ?? 0)
  return value < shortestFrom(width) ? { is: 'malformed' } : { is: 'whole', major: first >> 5, value, end }
}

const argumentWidths = [1, 2, 4]

/** The least value that needs an argument of `width` bytes. */
function shortestFrom(width: number): number {
  return width === 1 ? 24 : 256 ** (width / 2)
}

/** The shortest head of an item; `value` is at most 2^32 - 1. */
export function encodeHead(majorType: number, value: number): Uint8Array {
  const type = majorType << 5
  if (value < 24) return Uint8Array.of(type | value)
  if (value < 256) return Uint8Array.of(type | 24, value)
  if (value < 65_536) return Uint8Array.of(type | 25, value >> 8, value & 0xff)
  return Uint8Array.of(type | 26, value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff)
}
