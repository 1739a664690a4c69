import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Seeded } from '../kit/seeded.ts'
import { lacksSharedData, sharedBytes } from '../kit/shared-data.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-044
test('a line that is half there when the agent stops is completed once by the next', async () => {
  await using sortie = await Sortie.start()
  await sortie.append('app.log', 'partial')
  await sortie.agent.start()
  await sortie.agent.stop()
  await sortie.append('app.log', ' line\n')
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'partial line\n' }])
})

// LB-046
test('a file without a newline at its end is shipped to its last byte by age alone, and read on from there', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', 'one\nno newline')
  await sortie.streamsUntil(([stream]) => stream?.bytes.length === 14)
  await sortie.append('app.log', ' until now\n')
  await sortie.streamsUntil(([stream]) => stream?.bytes.length === 25)
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'one\nno newline until now\n' }])
})

// LB-048
test('empty lines are lines', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', '\n\n\n\nfive\n\n')
  await sortie.land()
  await sortie.append('app.log', '\n')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: '\n\n\n\nfive\n\n\n' }])
})

const event = (letter: string): string => `${letter.repeat(8191)}\r\n`

// LB-050
test('a CRLF on the boundary of a chunk, and of what is read at once, stays as it is', async () => {
  await using sortie = await Sortie.start({ settings: { chunks: { maxBytes: '8KiB', maxAge: '50ms' } } })
  await sortie.agent.start()
  await sortie.append('app.log', event('a'))
  await sortie.append('app.log', `${event('b')}${event('c')}`)
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: event('a') + event('b') + event('c') }])
})

// LB-052
test('a line far longer than a chunk is split by size, and its neighbours are intact', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', 'before\n')
  const long = Buffer.from(new Seeded(52).bytes(256 * 1024)).toString('base64')
  for (let at = 0; at < long.length; at += 50_000) await sortie.append('app.log', long.slice(at, at + 50_000))
  await sortie.append('app.log', '\nafter\n')
  await sortie.land()
  const [stream] = await sortie.streams()
  expect(stream?.seqs.length).toBeGreaterThan(long.length / (32 * 1024))
  await sortie.expectGenerations([{ path: 'app.log', bytes: `before\n${long}\nafter\n` }])
})

test('a line of 50 MB arrives byte for byte, and what stands around it', async () => {
  await using sortie = await Sortie.start({ settings: { chunks: { maxBytes: '1MiB', maxAge: '50ms' } } })
  const piece = Buffer.from(new Seeded(53).bytes(1 << 20)).map((byte) => (byte === 0x0a ? 0x0b : byte))
  const line = Buffer.concat(Array.from({ length: 50 }, () => piece))
  const bytes = Buffer.concat([Buffer.from('before\n'), line, Buffer.from('\nafter')])
  await sortie.write('app.log', bytes)
  await sortie.agent.start()
  await sortie.land()
  const [stream] = await sortie.streams()
  expect(stream?.bytes.equals(bytes)).toBe(true)
})

const made = {
  'utf16le.log': Buffer.from('\uFEFFHöhe 120 m\r\nakku 14,8 V\r\n', 'utf16le'),
  'utf16be.log': Buffer.from('\uFEFFHöhe 120 m\r\n', 'utf16le').swap16(),
  'invalid utf8.log': Buffer.from([0xc3, 0x28, 0x0a, 0xff, 0xfe, 0x00, 0x0a, 0xed, 0xa0, 0x80]),
  'shift-jis.log': Buffer.from([0x83, 0x8d, 0x83, 0x4f, 0x0a, 0x8e, 0x0a]),
  'nul.log': Buffer.from('a\0b\n\0\0\n'),
  'ansi.log': Buffer.from('\u001B[31mred\u001B[0m\r\n'),
}

const real = [
  'fluent-bit/unicode_be_j.log',
  'fluent-bit/generic_enc_win1251.log',
  'fluent-bit/generic_enc_big5.log',
  'lnav/logfile_ansi.1',
  'lnav/logfile_crlf.0',
  'ros2/rovesugv-launch.log',
  'vector/utf-16le.log',
]

// LB-054
describe('bytes are bytes, whatever they are', () => {
  test('in encodings that are not UTF-8, or are none', async () => {
    await using sortie = await Sortie.start()
    for (const [name, bytes] of Object.entries(made)) await sortie.write(name, bytes)
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations(Object.entries(made).map(([path, bytes]) => ({ path, bytes })))
  })

  test.skipIf(lacksSharedData)('in real logs', async () => {
    await using sortie = await Sortie.start()
    const files = real.map((path) => ({ path, bytes: sharedBytes(`text/${path}`) }))
    for (const { path, bytes } of files) await sortie.write(path, bytes)
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations(files)
  })

  // LB-056
  test('of gzip with several members under the name of a log', async () => {
    await using sortie = await Sortie.start()
    const members = [1, 2, 3].map((member) => gzipSync(lines(`member ${member}`, 500)))
    await sortie.agent.start()
    for (const member of members) await sortie.append('app.log', member)
    await sortie.land()
    await sortie.expectGenerations([{ path: 'app.log', bytes: Buffer.concat(members) }])
  })
})
