import { Readable } from 'node:stream'
import nock from 'nock'
import { describe, expect, test } from 'vitest'
import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import { sha256 } from '../../protocol/ids.ts'
import { playEmptyServer, post, Post, problem, receiptFor, receiptType } from '../kit/delivery-post.ts'
import { makeSigner } from '../kit/drone.ts'

playEmptyServer()

const page = '<html><body>Welcome to the airport. Accept our terms to go on.</body></html>'
const stranger = makeSigner()
const oldEntries: IndexEntry[] = [0, 1].map((seq) => ({
  epoch: 5 as never,
  seq: seq as never,
  digest: sha256(Buffer.from(`old ${seq}`)),
  stream: 'AAAAAAAAAAAAAAAAAAAAAA' as never,
  extent: { segment: 1, offset: 0, length: 1 },
  lane: 'normal' as const,
  envelope: undefined,
  isWithheld: false,
  length: 1,
}))

/** What is not an answer, what it looks like, and what status says of it. */
const noAnswers: [string, (post: Post) => void, RegExp][] = [
  [
    '200 with a web page',
    () => post().reply(200, page, { 'content-type': 'text/html' }),
    /not our server.*text\/html/,
  ],
  ['200 with nothing in it', () => post().reply(200), /not our server/],
  [
    "200 with a stranger's receipt",
    ({ entries }) => post().reply(200, receiptFor(entries, { by: stranger }), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt for another device',
    ({ entries }) => post().reply(200, receiptFor(entries, { device: 'quad-1' }), receiptType),
    /not our server/,
  ],
  [
    '200 with an old receipt, for other records',
    () => post().reply(200, receiptFor(oldEntries), receiptType),
    /does not say that the server has what was sent/,
  ],
  [
    '200 with a receipt of which a bit is flipped',
    ({ entries }) => {
      const receipt = receiptFor(entries)
      receipt[50] = (receipt[50] ?? 0) ^ 1
      post().reply(200, receipt, receiptType)
    },
    /not our server/,
  ],
  [
    '200 with half a receipt',
    ({ entries }) => post().reply(200, receiptFor(entries).subarray(0, 90), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt and something behind it',
    ({ entries }) => post().reply(200, Buffer.concat([receiptFor(entries), Buffer.of(0)]), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt that says that the bodies which were sent did not come',
    ({ entries }) => post().reply(200, receiptFor(entries, { outcome: 'storedWithoutBody' }), receiptType),
    /does not say that the server has what was sent/,
  ],
  [
    'the receipt with any other status',
    ({ entries }) => post().reply(202, receiptFor(entries), receiptType),
    /answered 202/,
  ],
  ['a redirect to another host', redirect, /answered 307/],
  ['401', () => post().reply(...problem(401, 'DEVICE_UNKNOWN')), /401, DEVICE_UNKNOWN, said so/],
  ['403', () => post().reply(...problem(403, 'KEY_REVOKED')), /403, KEY_REVOKED, said so/],
  ['400', () => post().reply(...problem(400, 'BATCH_MALFORMED')), /400, BATCH_MALFORMED/],
  ['404', () => post().reply(404, 'no such page'), /answered 404: nothing of ours/],
  ['507', () => post().reply(...problem(507, 'STORE_FULL')), /507, STORE_FULL/],
  ['502 from a proxy', () => post().reply(502, '\u001b[31mbad gateway'), /answered 502: a proxy/],
  ['a problem with control characters', () => post().reply(...problem(500, '\u001b[2J\n')), /500, \\/],
  [
    'a connection that breaks',
    () => post().replyWithError(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })),
    /ECONNRESET/,
  ],
  ['a name that is not found', notFound, /ENOTFOUND/],
  [
    'an answer without an end',
    () => post().reply(200, () => endless(), receiptType),
    /longer than any of ours/,
  ],
]

function redirect(): void {
  post().reply(307, '', { location: 'http://elsewhere.test/v1/chunks' })
  nock('http://elsewhere.test').post('/v1/chunks').reply(200, 'never asked')
}

function notFound(): void {
  post().replyWithError(Object.assign(new Error('getaddrinfo ENOTFOUND logs.test'), { code: 'ENOTFOUND' }))
}

/** As much as is read, a piece at each turn of the loop. */
function endless(): Readable {
  return new Readable({
    read() {
      setImmediate(() => this.push(Buffer.alloc(64 * 1024)))
    },
  })
}

describe('nothing leaves the queue, and status says why, on', () => {
  test.each(noAnswers)('%s', async (_, answer, why) => {
    await using post = await Post.prepare()
    answer(post)
    const report = await post.failed()
    expect(report).toMatchObject({ is: 'waiting', attempts: 1, why: expect.stringMatching(why) })
    expect(post.queue.ledger.records).toBe(3)
    expect(post.world.told.named('receiptVerified')).toEqual([])
    expect(nock.pendingMocks().filter((mock) => !/elsewhere.test|receipts|capabilities/.test(mock))).toEqual(
      [],
    )
    await post.recovers()
  })
})
