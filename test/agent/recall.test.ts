import { expect, test } from 'vitest'
import { sha256, type DeviceId, type Digest } from '../../protocol/ids.ts'
import type { LogPath } from '../../protocol/log-path.ts'
import { readQuery, type StreamQuery } from '../../protocol/query.ts'
import { signStreams, type HeldStream, type Range } from '../../protocol/streams.ts'
import type { Answer } from '../../agent/deliver/link.ts'
import { recall, type RecallParts } from '../../agent/deliver/recall.ts'
import { labelOf, makeSigner } from '../kit/drone.ts'
import { bytesToHex } from '../vectors/files.ts'

const device = 'hexa-7' as DeviceId
const [own, server, other] = [makeSigner(), makeSigner(), makeSigner()]
const never = new AbortController().signal
const { stream } = labelOf('/a')

const rangeOf = (offset: number, text: string): Range => ({
  offset: offset as Range['offset'],
  length: text.length,
  sha256: sha256(Buffer.from(text)),
})
const held: HeldStream = {
  stream,
  path: 0,
  run: { first: rangeOf(0, 'head'), last: rangeOf(90, 'the last one') },
  closed: null,
}

interface Asked {
  readonly query: StreamQuery
  readonly digest: Digest
}

const answered = (status: number, body: Uint8Array): Answer => ({
  is: 'answered',
  status,
  mediaType: 'application/cose',
  body,
  retryAfterMs: undefined,
})

const listOf = (streams: readonly HeldStream[], { digest }: Asked, by = server): Answer =>
  answered(200, signStreams({ device, timeMs: 1, query: digest, streams }, by))

/** A drone whose questions are answered so, and the questions. */
function drone(answer: (asked: Asked, times: number) => Answer) {
  const asked: Asked[] = []
  let random = 0
  const parts: RecallParts = {
    device,
    signer: own,
    pinned: [server.publicKey],
    chance: { bytes: (count) => new Uint8Array(count).fill(++random), below: () => 0 },
    ask: async (bytes) => {
      const claimed = readQuery(bytes)
      if (!claimed.ok || claimed.value.query.asks !== 'streams') throw new Error('no query for streams')
      if (!claimed.value.isSignedBy(own.publicKey)) throw new Error('not signed by the device')
      asked.push({ query: claimed.value.query, digest: claimed.value.digest })
      return answer({ query: claimed.value.query, digest: claimed.value.digest }, asked.length)
    },
  }
  return { asked, recall: (paths: readonly LogPath[]) => recall(paths, parts, never), parts }
}

test('what the server has of a file comes back as where to read on, and what must stand before that', async () => {
  const one = { ...held, path: 1, run: { first: rangeOf(5, 'x'), last: rangeOf(5, 'x') } }
  const closed = { length: 102, sha256: sha256(Buffer.from('all')) }
  const { recall: ask } = drone((asked) => listOf([{ ...held, closed }, one, { ...held, run: null }], asked))

  const { first, last } = held.run ?? one.run
  const generations = [
    { stream, path: '/a', from: 0, position: 102, evidence: [first, last], closed },
    { stream, path: '/b', from: 5, position: 6, evidence: [one.run.first], closed: null },
  ]
  expect(bytesToHex(await ask(['/a', '/b']))).toEqual(bytesToHex({ is: 'told', generations, timeMs: 1 }))
})

test('each question is new, so that an old answer answers none', async () => {
  const answers: Answer[] = []
  const { recall: ask, asked } = drone((question, times) => {
    answers.push(listOf([held], question))
    return answers[times === 1 ? 0 : times - 2] as Answer
  })
  expect((await ask(['/a'])).is).toBe('told')
  expect((await ask(['/a'])).is).toBe('untold')
  expect(asked[0]?.query.nonce).not.toEqual(asked[1]?.query.nonce)
})

test('more paths than a question may have are asked for in several, and keep their names', async () => {
  const paths = Array.from({ length: 130 }, (_, at) => `/log-${at}`)
  const { recall: ask, asked } = drone((question) =>
    listOf([{ ...held, path: question.query.paths.length - 1 }], question),
  )
  const told = await ask(paths)
  expect(asked.map(({ query }) => query.paths.length)).toEqual([64, 64, 2])
  expect(told.is === 'told' && told.generations.map(({ path }) => path)).toEqual([
    '/log-63',
    '/log-127',
    '/log-129',
  ])
})

test.each<[string, (asked: Asked) => Answer, string]>([
  ['a list by another key', (asked) => listOf([held], asked, other), 'untold'],
  ['a login page', () => answered(200, Buffer.from('<!doctype html>')), 'untold'],
  ['a server that is busy', () => answered(503, new Uint8Array(0)), 'untold'],
  ['a key that is not registered yet', () => answered(401, new Uint8Array(0)), 'untold'],
  ['a server that does not know the question', () => answered(404, new Uint8Array(0)), 'cannot'],
  ['one that only lets itself be read', () => answered(405, new Uint8Array(0)), 'cannot'],
])('%s tells nothing', async (_title, answer, is) => {
  const { recall: ask } = drone(answer)
  expect((await ask(['/a'])).is).toBe(is)
})

test('a link that breaks between two questions leaves nothing told by halves', async () => {
  const paths = Array.from({ length: 65 }, (_, at) => `/log-${at}`)
  const cut = { is: 'cut', why: 'ECONNRESET' } as Answer
  const { recall: ask } = drone((asked, times) => (times === 1 ? listOf([held], asked) : cut))
  expect(await ask(paths)).toEqual({ is: 'untold', why: 'ECONNRESET' })
})

test('nobody is asked about no path, or by an agent that stops', async () => {
  const { parts, asked } = drone((question) => listOf([], question))
  expect(await recall([], parts, never)).toEqual({ is: 'told', generations: [], timeMs: 0 })
  expect((await recall(['/a'], parts, AbortSignal.abort())).is).toBe('untold')
  expect(asked).toEqual([])
})
