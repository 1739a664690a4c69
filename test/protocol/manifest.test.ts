import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseBase64url, parseStreamId, streamIdFrom, streamIdToBytes } from '../../protocol/ids.ts'
import { isLogPath, logPathFromBytes, logPathToBytes } from '../../protocol/log-path.ts'
import { areTags, decodeManifest, encodeManifest } from '../../protocol/manifest.ts'
import * as any from '../kit/arbitrary-records.ts'
import { dataOf, text } from '../vectors/samples.ts'
import { outcomeOf } from './judge.ts'

test('a path has one form: text where its bytes are UTF-8, else bytes', () => {
  const raw = fc.oneof(
    any.bytes(0, 60),
    fc.string({ unit: 'binary' }).map((name) => Buffer.from(name)),
  )
  fc.assert(
    fc.property(raw, (bytes) => {
      const path = logPathFromBytes(bytes)
      const mayBe = bytes.length > 0 && !bytes.includes(0)
      expect(path !== undefined).toBe(mayBe)
      expect(path === undefined || Buffer.compare(logPathToBytes(path), bytes) === 0).toBe(true)
      expect(isLogPath(bytes)).toBe(mayBe && typeof path !== 'string')
    }),
  )
})

test('text with a lone surrogate is neither a path nor a tag: it would arrive as another', () => {
  expect(isLogPath('/log/\uD800')).toBe(false)
  expect(areTags(new Map([['name', '\uDFFF']]))).toBe(false)
  expect(areTags(new Map([['\uD800', 'value']]))).toBe(false)
  expect(areTags(new Map([['name', '\uD83D\uDE81']]))).toBe(true)
})

test('a manifest one byte over 4 KiB is too large, whatever it says', () => {
  expect(outcomeOf(decodeManifest(Buffer.alloc(4_097)))).toBe('RECORD_TOO_LARGE')
  expect(outcomeOf(decodeManifest(encodeManifest(dataOf(text))))).toBe('accepted')
})

test('a stream id has one spelling', () => {
  fc.assert(
    fc.property(any.bytes(16, 16), (bytes) => {
      const id = streamIdFrom(bytes)
      if (id === undefined) throw new Error('16 bytes are a stream id')
      expect(parseStreamId(id)).toBe(id)
      expect(Buffer.compare(streamIdToBytes(id), bytes)).toBe(0)
      expect([`${id}=`, `${id}A`, id.slice(1), ` ${id}`].map(parseStreamId)).toEqual(Array(4).fill(undefined))
    }),
  )
  // The last two bits of 22 characters say nothing: only zeros are canonical.
  expect(parseBase64url('AAAAAAAAAAAAAAAAAAAAAB', 16)).toBe(undefined)
})
