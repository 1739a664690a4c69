const longest = 8

/** A number in sevens of bits, the least first (LevelDB's and Snappy's varint). Throws a RangeError where none stands there. */
export function readVarint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let index = 0; index < longest; index++) {
    const byte = bytes[at + index]
    if (byte === undefined) break
    value += (byte & 0x7f) * 128 ** index
    if (byte < 0x80 && Number.isSafeInteger(value)) return { value, end: at + index + 1 }
  }
  throw new RangeError('a number is cut or too large')
}
