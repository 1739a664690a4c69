import type { LogPath } from './log-path.ts'

/** What moves a cursor, starts a line, or turns text round: C0, DEL, C1, U+2028/9, bidi controls, half characters. */
const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu

/**
 * Text from logs, paths or the network as it may be printed: one line, with control characters escaped, and with them
 * the backslash, so that no other text is shown alike.
 */
export function showText(text: string): string {
  return showLine(text.replaceAll('\\', String.raw`\\`))
}

/** A line made of text that was shown before, and of what needs no escape: what is safe stays as it is. */
export function showLine(line: string): string {
  return line.replace(unsafe, (character) => escapeCodePoint(character.codePointAt(0) ?? 0))
}

function escapeCodePoint(code: number): string {
  return code < 128 ? escapeByte(code) : `\\u{${code.toString(16)}}`
}

const escapeByte = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`

/** The path on one line; bytes of it that are not UTF-8 are written `\xNN`. */
export function showPath(path: LogPath): string {
  return typeof path === 'string' ? showText(path) : showBytes(path)
}

function showBytes(bytes: Uint8Array): string {
  let shown = ''
  for (let at = 0; at < bytes.length;) {
    const width = characterWidth(bytes, at)
    const piece = Buffer.from(bytes.subarray(at, at + Math.max(width, 1)))
    shown += width > 0 ? showText(piece.toString('utf8')) : escapeByte(piece[0] ?? 0)
    at += piece.length
  }
  return shown
}

/** How many bytes the UTF-8 character at `at` has; 0 where there is none. */
function characterWidth(bytes: Uint8Array, at: number): number {
  for (let width = 1; width <= 4 && at + width <= bytes.length; width++) {
    const piece = Buffer.from(bytes.subarray(at, at + width))
    if (Buffer.from(piece.toString('utf8')).equals(piece)) return width
  }
  return 0
}

/** JSON on one line that is safe to print: what JSON itself leaves as it is gets its \u escape. */
export function showJson(value: unknown): string {
  return JSON.stringify(value).replace(unsafe, (character) =>
    Array.from({ length: character.length }, (_, at) => jsonEscape(character.charCodeAt(at))).join(''),
  )
}

const jsonEscape = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`
