import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { recall, type RecallParts } from '../../agent/deliver/recall.ts'
import { paths } from '../../protocol/contract.ts'
import { sha256 } from '../../protocol/ids.ts'
import type { LogPath } from '../../protocol/log-path.ts'
import { verifyStreams, type HeldStream, type Range } from '../../protocol/streams.ts'
import { ask, Drone, labelOf, withheld } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

async function held(
  server: TestServer,
  drone: Drone,
  ...asked: readonly LogPath[]
): Promise<readonly HeldStream[]> {
  const { bytes, digest } = drone.asksAbout(...asked)
  const answer = await ask(server.url, paths.streams, bytes)
  const about = { device: drone.device, digest, paths: asked.length }
  const verdict = verifyStreams(answer.body, [server.key], about)
  if (!verdict.ok) throw new Error(`${answer.status} ${Buffer.from(answer.body).toString()}`)
  return verdict.value.streams
}

const rangeOf = (offset: number, text: string): Range => ({
  offset: offset as Range['offset'],
  length: text.length,
  sha256: Uint8Array.from(sha256(Buffer.from(text))) as Range['sha256'],
})

const range = (given: Range): Range => ({
  ...given,
  sha256: Uint8Array.from(given.sha256) as Range['sha256'],
})

/** With plain byte arrays, as they compare. */
function plain(streams: readonly HeldStream[]) {
  return streams.map(({ run, closed, path }) => ({
    path,
    run: run && { first: range(run.first), last: range(run.last) },
    closed: closed && { ...closed, sha256: Uint8Array.from(closed.sha256) },
  }))
}

test('a drone without a queue is told how far each of its files reaches, and what stands at both ends', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [open, whole, raw] = [labelOf('/open'), labelOf('/whole'), labelOf(Buffer.from([0x2f, 0xff]))]
  await server.send(
    drone,
    await drone.data(open, 0, 'one'),
    await drone.data(open, 3, 'four'),
    await drone.data(open, 9, 'beyond a gap'),
    await drone.data(whole, 0, 'all of it'),
    drone.close(whole, 'all of it'),
    await drone.data(raw, 0, 'x'),
  )

  expect(plain(await held(server, drone, '/none', '/open', '/whole', Buffer.from([0x2f, 0xff])))).toEqual(
    expect.arrayContaining([
      { path: 1, run: { first: rangeOf(0, 'one'), last: rangeOf(3, 'four') }, closed: null },
      {
        path: 2,
        run: { first: rangeOf(0, 'all of it'), last: rangeOf(0, 'all of it') },
        closed: { length: 9, sha256: Uint8Array.from(sha256(Buffer.from('all of it'))) },
      },
      { path: 3, run: { first: rangeOf(0, 'x'), last: rangeOf(0, 'x') }, closed: null },
    ]),
  )
  expect(await held(server, drone, '/none')).toEqual([])
})

test('of two files that were at one path, the newer comes first', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [older, newer] = [labelOf('/a'), labelOf('/a')]
  await server.send(drone, await drone.data(older, 0, 'older'))
  drone.newEpoch(2)
  await server.send(drone, await drone.data(newer, 0, 'newer'))
  const other = new Drone('hexa-8')
  await server.register(other)
  await server.send(other, await other.data(labelOf('/a'), 0, 'of another device'))

  expect((await held(server, drone, '/a')).map(({ stream }) => stream)).toEqual([newer.stream, older.stream])
})

test('what was overwritten in part, evicted, lost or outdated ends what a drone may skip', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [part, again, evicted, outdated] = [labelOf('/1'), labelOf('/2'), labelOf('/3'), labelOf('/4')]
  await server.send(
    drone,
    await drone.data(part, 0, 'aaa'),
    await drone.data(part, 3, 'bbb'),
    await drone.data(part, 4, 'x'),
    await drone.data(again, 0, 'aaa'),
    await drone.data(again, 3, 'bbb'),
    await drone.data(again, 3, 'BBB'),
    await drone.data(evicted, 0, 'aaa'),
    withheld(await drone.data(evicted, 3, 'bbb')),
    await drone.data(evicted, 6, 'ccc'),
    await drone.data(outdated, 0, 'aaa'),
    await drone.data(outdated, 3, 'bbb'),
    drone.loss(outdated, 3, 3, 'overwritten'),
  )

  const ends = (await held(server, drone, '/1', '/2', '/3', '/4')).map(({ path, run }) => [path, run?.last])
  expect(new Map(ends as [number, Range][])).toEqual(
    new Map([
      [0, rangeOf(4, 'x')],
      [1, rangeOf(3, 'BBB')],
      [2, rangeOf(0, 'aaa')],
      [3, rangeOf(0, 'aaa')],
    ]),
  )
})

test('a file that was written to after it was closed is not closed', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'one'), drone.close(label, 'one'))
  const [before] = await held(server, drone, '/a')
  await server.send(drone, await drone.data(label, 3, 'two'))
  const [after] = await held(server, drone, '/a')

  expect([before?.closed?.length, after?.closed]).toEqual([3, null])
  expect(after?.run?.last.offset).toBe(3)
})

test('an agent without a queue learns from a real server where to read on, in which stream', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [label, rotated] = [labelOf('/log'), labelOf('/log')]
  await server.send(drone, await drone.data(rotated, 0, 'before'), drone.close(rotated, 'before'))
  await server.send(drone, await drone.data(label, 0, 'one, '), await drone.data(label, 5, 'two, '))
  const parts: RecallParts = {
    device: drone.device,
    signer: drone.signer,
    pinned: [server.key],
    chance: { bytes: (count) => randomBytes(count), below: () => 0 },
    ask: async (query) => {
      const { status, body } = await ask(server.url, paths.streams, query)
      return { is: 'answered', status, mediaType: '', body, retryAfterMs: undefined }
    },
  }

  const told = await recall(['/none', '/log'], parts, new AbortController().signal)
  const generations = told.is === 'told' ? told.generations : []
  expect(generations).toMatchObject([
    { stream: label.stream, path: '/log', from: 0, position: 10, closed: null },
    { stream: rotated.stream, path: '/log', from: 0, position: 6, closed: { length: 6 } },
  ])
  const file = Buffer.from('one, two, three')
  const fits = generations.map(({ evidence }) =>
    evidence.every(({ offset, length, sha256: hash }) =>
      sha256(file.subarray(offset, offset + length)).every((byte, at) => byte === hash[at]),
    ),
  )
  expect(fits).toEqual([true, false])
})
