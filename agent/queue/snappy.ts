import { readVarint } from './varint.ts'

/**
 * What Snappy compressed (its format_description.txt, without framing). Throws a RangeError where it is no such thing. Nothing
 * larger than `most` bytes is made.
 */
export function unsnappy(bytes: Uint8Array, most: number): Uint8Array {
  const { value: length, end: start } = readVarint(bytes, 0)
  if (length > most) throw new RangeError(`${length} bytes are more than ${most}`)
  const out = new Uint8Array(length)
  let filled = 0
  for (let at = start; at < bytes.length;) {
    const element = elementAt(bytes, at)
    at = element.end
    if (filled + element.length > length) throw new RangeError('it is longer than it says')
    if (element.back === 0) out.set(bytes.subarray(at - element.length, at), filled)
    else copyBack(out, filled, element)
    filled += element.length
  }
  if (filled < length) throw new RangeError('it is shorter than it says')
  return out
}

interface Element {
  readonly length: number
  /** How far back in what was made the bytes stand; 0 where they stand before `end` themselves. */
  readonly back: number
  readonly end: number
}

function elementAt(bytes: Uint8Array, at: number): Element {
  const tag = bytes[at] ?? 0
  const high = tag >> 2
  if ((tag & 3) === 0) return literalAt(bytes, at, high)
  const offsetBytes = [0, 1, 2, 4][tag & 3] ?? 0
  const back = littleEndian(bytes, at + 1, offsetBytes)
  const end = at + 1 + offsetBytes
  if (offsetBytes > 1) return { length: high + 1, back, end }
  return { length: (high & 7) + 4, back: ((tag >> 5) << 8) | back, end }
}

function literalAt(bytes: Uint8Array, at: number, high: number): Element {
  const lengthBytes = Math.max(0, high - 59)
  const length = (lengthBytes > 0 ? littleEndian(bytes, at + 1, lengthBytes) : high) + 1
  const end = at + 1 + lengthBytes + length
  if (end > bytes.length) throw new RangeError('it ends in the middle')
  return { length, back: 0, end }
}

/** One by one: where the piece is longer than it stands back, it repeats itself. */
function copyBack(out: Uint8Array, to: number, { length, back }: Element): void {
  if (back < 1 || back > to) throw new RangeError('it points before its beginning')
  for (let index = to; index < to + length; index++) out[index] = out[index - back] ?? 0
}

function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0
  for (let index = count - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0)
  return value
}
