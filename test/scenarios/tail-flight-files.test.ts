import { describe, expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'
import { atPace, coarseTimes } from '../kit/coarse-times.ts'
import { Seeded } from '../kit/seeded.ts'
import { lacksSharedData, sharedBytes } from '../kit/shared-data.ts'
import { Sortie } from '../kit/sortie.ts'
import type { StoredStream } from '../kit/sortie-streams.ts'

const binary = { format: 'binary', closeAfter: '1s' }
const isClosed = (length: number) => (streams: readonly StoredStream[]) =>
  streams.some(({ close }) => close?.length === length)

/** A ULog is there to its end, and is then changed as PX4 does after a crash: data appended, its place noted in the header. */
async function rewriteAfterCrash(log: Uint8Array): Promise<void> {
  await using sortie = await Sortie.start({ source: binary })
  await sortie.agent.start()
  for (let at = 0; at < log.length; at += 100_001)
    await sortie.append('log.ulg', log.subarray(at, at + 100_001))
  await sortie.streamsUntil(isClosed(log.length))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(log.length))
  const appended = new Seeded(103).bytes(17 * 1024)
  await sortie.patch('log.ulg', 35, size)
  await sortie.append('log.ulg', appended)
  await sortie.streamsUntil(isClosed(log.length + appended.length))
  const final = await sortie.read('log.ulg')
  expect(final.subarray(35, 43)).toEqual(size)
  await sortie.expectGenerations([{ path: 'log.ulg', bytes: final, isClosed: true }])
}

// LB-103
describe('a header that is rewritten when the file was shipped long ago arrives', () => {
  test('in a file as large as a flight', async () => {
    await rewriteAfterCrash(new Seeded(1).bytes(900_000))
  })

  test.skipIf(lacksSharedData)('in a real ULog', async () => {
    await rewriteAfterCrash(sharedBytes('binary/ulg/sample_log_small.ulg'))
  })

  test('while the agent was off', async () => {
    await using sortie = await Sortie.start({ source: binary })
    await sortie.agent.start()
    await sortie.append('log.ulg', new Seeded(2).bytes(100_000))
    await sortie.land()
    await sortie.agent.kill()
    await sortie.patch('log.ulg', 35, 'rewritten')
    await sortie.agent.start()
    const final = await sortie.read('log.ulg')
    await sortie.streamsUntil(([stream]) => stream?.close !== undefined && stream.bytes.equals(final))
    await sortie.expectGenerations([{ path: 'log.ulg', bytes: final, isClosed: true }])
  })
})

// LB-105
test('LASTLOG.TXT, rewritten in place with the same size, ends as its last version', async () => {
  await using sortie = await Sortie.start({ source: binary })
  await sortie.agent.start()
  await sortie.write('LASTLOG.TXT', '1\r\n')
  await sortie.write('00000001.BIN', new Seeded(1).bytes(50_000))
  await sortie.streamsUntil(([first, second]) => !!first?.close && !!second?.close)
  await sortie.patch('LASTLOG.TXT', 0, '2\r\n')
  await sortie.write('00000002.BIN', new Seeded(2).bytes(50_000))
  await sortie.streamsUntil((streams) => streams.some(({ bytes }) => bytes.equals(Buffer.from('2\r\n'))))
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'LASTLOG.TXT', bytes: '2\r\n' },
    { path: '00000001.BIN', bytes: new Seeded(1).bytes(50_000) },
    { path: '00000002.BIN', bytes: new Seeded(2).bytes(50_000) },
  ])
})

// LB-105
test('LASTLOG.TXT, truncated and written anew with the same size, is known in its last version', async () => {
  await using sortie = await Sortie.start({ source: binary })
  await sortie.agent.start()
  await sortie.write('LASTLOG.TXT', '1\r\n')
  await sortie.streamsUntil(isClosed(3))
  await sortie.write('LASTLOG.TXT', '2\r\n')
  await sortie.streamsUntil((streams) => streams.some(({ bytes }) => bytes.equals(Buffer.from('2\r\n'))))
  expect(await sortie.verify()).toEqual([])
})

/** It is shipped to its last byte, and closed. */
async function shipToTheEnd(log: Uint8Array): Promise<void> {
  await using sortie = await Sortie.start({ source: binary })
  await sortie.write('00000001.BIN', log)
  await sortie.agent.start()
  await sortie.streamsUntil(isClosed(log.length))
  await sortie.expectGenerations([{ path: '00000001.BIN', bytes: log, isClosed: true }])
}

// LB-107
describe('a flight log that ends in the middle of a record is shipped to its last byte, and closed', () => {
  test('cut where no record ends', async () => {
    await shipToTheEnd(new Seeded(107).bytes(99_991))
  })

  test.skipIf(lacksSharedData)('as real ones do', async () => {
    await shipToTheEnd(sharedBytes('binary/dataflash/adgfuzz-00000001.BIN'))
  })
})

// LB-109
test.each([
  ['after the agent was killed', true],
  ['while the agent runs', false],
])('zeros at the end that become data %s are shipped again, and only they', async (_, isKilled) => {
  await using sortie = await Sortie.start({ source: binary })
  const data = new Seeded(109).bytes(3 * 32 * 1024)
  const zeros = Buffer.alloc(2 * 32 * 1024)
  await sortie.write('log.BIN', Buffer.concat([data, zeros]))
  await sortie.agent.start()
  await sortie.land()
  if (isKilled) await sortie.agent.kill()
  const more = new Seeded(110).bytes(zeros.length)
  await sortie.patch('log.BIN', data.length, more)
  if (isKilled) await sortie.agent.start()
  const final = Buffer.concat([data, more])
  await sortie.streamsUntil(([stream]) => stream?.close !== undefined && stream.bytes.equals(final))
  await sortie.expectGenerations([{ path: 'log.BIN', bytes: final, isClosed: true }])
  const [stream] = await sortie.streams()
  expect(stream?.seqs).toHaveLength(5 + 2)
})

test('a header that is written after a flush, in the same tick of a file system with coarse times, is shipped', async () => {
  const world = atPace(realWorld(), 1 / 100)
  await using sortie = await Sortie.start({
    world: { ...world, files: coarseTimes(world.files) },
    source: { format: 'binary' },
  })
  await sortie.agent.start()
  await sortie.write('a.ulg', `HEADER:unknown;${'x'.repeat(5000)}`)
  await sortie.land()
  await sortie.patch('a.ulg', 0, 'HEADER:0005000;')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'a.ulg', bytes: await sortie.read('a.ulg') }])
})
