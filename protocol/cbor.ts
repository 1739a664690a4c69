import { decode, encode, rfc8949EncodeOptions, Tokenizer, Type, type Token } from 'cborg'
import { equalBytes } from './ids.ts'

/**
 * What signed data may hold: integers that a double holds exactly, bytes, text, arrays, maps with integer or text
 * keys, and null.
 */
export type CborValue = number | string | Uint8Array | null | readonly CborValue[] | CborMap
export type CborMap = ReadonlyMap<number | string, CborValue>

const strictest = {
  strict: true,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  retainStringBytes: true,
}
/** Of arrays and maps within each other: a receipt has three. */
const maxDepth = 4
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Core deterministic encoding (RFC 8949, section 4.2.1). */
export function encodeCbor(value: CborValue): Uint8Array {
  return encode(value, rfc8949EncodeOptions)
}

/**
 * The value that `bytes` are the deterministic encoding of, or undefined. Whatever the bytes, it does not throw.
 * The library alone lets 21 of 37 non-deterministic inputs pass; encoding the value again and comparing catches
 * key order, float width, invalid UTF-8 and bytes that follow.
 */
export function decodeCbor(bytes: Uint8Array): CborValue | undefined {
  try {
    const value: unknown = decode(bytes, { ...strictest, tokenizer: new ShallowTokens(bytes) })
    return isCborValue(value) && equalBytes(encodeCbor(value), bytes) ? value : undefined
  } catch {
    // The decoder throws on malformed input by design; which rule it broke helps nobody who sends it.
    return undefined
  }
}

function isCborValue(value: unknown): value is CborValue {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value === 'string' || value instanceof Uint8Array || value === null) return true
  if (Array.isArray(value)) return value.every(isCborValue)
  return value instanceof Map && [...value.keys()].every(isCborKey) && [...value.values()].every(isCborValue)
}

/** Other keys are compared by identity, so that duplicates of them would pass. */
function isCborKey(key: unknown): boolean {
  return typeof key === 'number' || typeof key === 'string'
}

/**
 * The library's tokens, but for two things: nesting is bounded, because an unsigned manifest of 4 KiB nested 2,000 deep
 * costs 8 ms and its verdict would depend on how much stack is left; and text keeps a leading U+FEFF, which the library
 * drops.
 */
class ShallowTokens extends Tokenizer {
  /** How many items each open array and map still lacks, the outermost first. */
  readonly #lacking: number[] = []

  constructor(bytes: Uint8Array) {
    super(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), strictest)
  }

  override next(): Token {
    const token = super.next()
    if (token.byteValue) token.value = utf8.decode(token.byteValue)
    this.#count(itemsIn(token))
    return token
  }

  #count(items: number): void {
    if (items > 0) this.#lacking.push(items)
    if (this.#lacking.length > maxDepth) throw new Error('nested too deep')
    if (items === 0) this.#close()
  }

  /** An item is complete, and so is what it was the last item of. */
  #close(): void {
    for (let open = this.#lacking.pop(); open !== undefined; open = this.#lacking.pop()) {
      if (open > 1) {
        this.#lacking.push(open - 1)
        return
      }
    }
  }
}

function itemsIn(token: Token): number {
  if (Type.equals(token.type, Type.array)) return Number(token.value)
  return Type.equals(token.type, Type.map) ? 2 * Number(token.value) : 0
}
