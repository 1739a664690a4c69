import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { showLine, showPath, showText } from '../../protocol/show-text.ts'

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
)

/** What was shown, as it was. */
function unshow(shown: string): Buffer {
  const parts = shown.match(/\\\\|\\x[0-9a-f]{2}|\\u\{[0-9a-f]+\}|[^\\]/gu) ?? []
  return Buffer.concat(parts.map(unescape))
}

function unescape(part: string): Buffer {
  if (part.startsWith('\\x')) return Buffer.from(part.slice(2), 'hex')
  if (part.startsWith('\\u')) return Buffer.from(String.fromCodePoint(Number.parseInt(part.slice(3, -1), 16)))
  return Buffer.from(part === '\\\\' ? '\\' : part)
}

test('no two paths are shown alike: what is shown gives back the bytes', () => {
  fc.assert(
    fc.property(bytes, (path) => {
      const shown = showPath(logPathFromBytes(path) ?? path)
      expect(unshow(shown)).toEqual(Buffer.from(path))
    }),
    { numRuns: 2000 },
  )
})

test('a path without control characters or backslashes is shown as it is', () => {
  expect(showPath('/var/log/Flüge/42 "ω".log')).toBe('/var/log/Flüge/42 "ω".log')
})

test('a line of what was shown before is not escaped twice', () => {
  const shown = showText('a\\b\nc\u0085d\u2028e\u202ef')
  expect(shown).toBe(String.raw`a\\b\x0ac\u{85}d\u{2028}e\u{202e}f`)
  expect(showLine(shown)).toBe(shown)
})
