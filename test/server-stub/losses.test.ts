import { expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import { Drone, labelOf, withheld, type Sealed } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { json, TestServer, type FileFacts } from './test-server.ts'

interface Facts extends FileFacts {
  readonly outdated: FileFacts['lost']
  readonly sinceClosed: string | null
  readonly why: string | null
}

/** A server that was sent one file's records, and what it says of the file. */
async function told(
  ...make: readonly ((
    drone: Drone,
    label: ReturnType<typeof labelOf>,
  ) => Promise<Sealed> | Sealed | Promise<Uint8Array>)[]
) {
  const folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  await using _folder = folder
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  for (const seal of make) await server.send(drone, await seal(drone, label))
  const [facts] = await json<Facts[]>('files', '--data', folder.path)
  const metrics = await (await fetch(`${server.url}${paths.metrics}`)).text()
  if (!facts) throw new Error('the file is not listed')
  return { facts, cat: await server.cat('hexa-7', '/a'), verify: await server.verify(), metrics }
}

const data =
  (offset: number, text: string) =>
  async (drone: Drone, label: ReturnType<typeof labelOf>): Promise<Sealed> =>
    drone.data(label, offset, text)
const evicted =
  (offset: number, text: string) =>
  async (drone: Drone, label: ReturnType<typeof labelOf>): Promise<Uint8Array> =>
    withheld(await drone.data(label, offset, text))
const loss =
  (offset: number, length: number | null, reason: 'truncated' | 'deleted' | 'overwritten') =>
  (drone: Drone, label: ReturnType<typeof labelOf>): Sealed =>
    drone.loss(label, offset, length, reason)
const close =
  (content: string) =>
  (drone: Drone, label: ReturnType<typeof labelOf>): Sealed =>
    drone.close(label, content)

test('what is lost is told with its reason, also where nobody knows how far, and what was evicted', async () => {
  const { facts, cat, metrics } = await told(
    data(0, 'one'),
    loss(3, 10, 'deleted'),
    evicted(13, 'gone'),
    data(17, 'two'),
    loss(20, null, 'truncated'),
  )
  expect(facts.lost).toEqual([
    { from: 3, to: 13, reason: 'deleted' },
    { from: 13, to: 17, reason: 'evicted' },
    { from: 20, to: null, reason: 'truncated' },
  ])
  expect([facts.whole, facts.bytes]).toEqual([false, 6])
  expect([cat.status, cat.out.toString()]).toEqual([75, 'onetwo'])
  expect(cat.err).toContain('bytes 20 to nobody knows where are lost: truncated')
  expect(metrics).toContain('logbox_loss_bytes_total{reason="deleted"} 10')
  expect(metrics).toContain('logbox_loss_bytes_total{reason="evicted"} 4')
  expect(metrics).toContain('logbox_loss_records_total{reason="truncated"} 1')
  expect(metrics).toContain('logbox_losses_of_unknown_length_total{reason="truncated"} 1')
  expect(metrics).toContain('logbox_loss_records_total{reason="overwritten"} 0')
})

test('bytes that come after their loss was told are there, and the loss is no more', async () => {
  const { facts, cat } = await told(data(0, 'one'), loss(3, 3, 'deleted'), data(3, 'two'))
  expect([facts.whole, facts.lost, facts.outdated]).toEqual([true, [], []])
  expect([cat.status, cat.out.toString()]).toEqual([0, 'onetwo'])
})

test('a loss takes no bytes away that were delivered: they are given, and said to be outdated', async () => {
  const { facts, cat, verify } = await told(data(0, 'one two'), loss(4, 6, 'overwritten'))
  expect(facts.outdated).toEqual([{ from: 4, to: 7, reason: 'overwritten' }])
  expect(facts.lost).toEqual([{ from: 7, to: 10, reason: 'overwritten' }])
  expect([facts.whole, facts.bytes]).toEqual([false, 7])
  expect([cat.status, cat.out.toString()]).toEqual([75, 'one two'])
  expect(cat.err).toContain(
    'bytes 4 to 7 are older than what was written there last, which is lost: overwritten',
  )
  expect(verify.status).toBe(0)
})

test('an evicted rewrite leaves what it rewrote, outdated, unless the close proves that it is right', async () => {
  const open = await told(data(0, 'head and tail'), evicted(0, 'HEAD'))
  expect([open.facts.whole, open.facts.outdated]).toEqual([false, [{ from: 0, to: 4, reason: 'evicted' }]])
  expect([open.cat.status, open.cat.out.toString()]).toEqual([75, 'head and tail'])

  const proven = await told(data(0, 'head and tail'), evicted(0, 'head'), close('head and tail'))
  expect([proven.facts.whole, proven.facts.outdated]).toEqual([true, []])
  expect([proven.cat.status, proven.verify.status]).toEqual([0, 0])

  const wrong = await told(data(0, 'head and tail'), evicted(0, 'HEAD'), close('HEAD and tail'))
  expect([wrong.facts.whole, wrong.cat.status]).toEqual([false, 75])
  // It is no finding: the drone signed what it could not deliver.
  expect(wrong.verify.status).toBe(0)
})

test('a rewritten header is given as it was written last, and the close proves it', async () => {
  const { facts, cat, verify, metrics } = await told(
    data(0, 'head and tail'),
    data(0, 'HEAD'),
    close('HEAD and tail'),
  )
  expect([facts.whole, facts.closed, facts.sinceClosed]).toEqual([true, true, 'nothing'])
  expect([cat.status, cat.out.toString(), verify.status]).toEqual([0, 'HEAD and tail', 0])
  expect(metrics).toContain('logbox_closes_total 1')
})

test('a file that only grew since it was closed is whole while what was closed has the signed hash', async () => {
  const grown = await told(data(0, 'one'), close('one'), data(3, 'two'))
  expect([grown.facts.whole, grown.facts.sinceClosed, grown.cat.status]).toEqual([true, 'grown', 0])
  expect([grown.cat.out.toString(), grown.verify.status]).toEqual(['onetwo', 0])

  const wrong = await told(data(0, 'one'), close('two'), data(3, 'two'))
  expect([wrong.facts.whole, wrong.facts.why]).toEqual([false, 'not the content that was closed'])
  expect([wrong.cat.status, wrong.verify.status]).toEqual([75, 74])
})

test('a file that changed within what it was closed with is not whole until it is closed again', async () => {
  const changed = await told(data(0, 'one'), close('one'), data(0, 'ONE'))
  expect([changed.facts.whole, changed.facts.why]).toEqual([false, 'changed since it was closed'])
  expect([changed.cat.status, changed.cat.out.toString(), changed.verify.status]).toEqual([75, 'ONE', 0])
  expect(changed.cat.err).toContain('changed after the drone closed it')

  const again = await told(data(0, 'one'), close('one'), data(0, 'ONE'), close('ONE'))
  expect([again.facts.whole, again.facts.sinceClosed, again.cat.status]).toEqual([true, 'nothing', 0])
})

test('a file that was closed with bytes that never came names them', async () => {
  const { facts, cat } = await told(data(0, 'one'), close('one and more'))
  expect([facts.whole, facts.missing]).toEqual([false, [[3, 12]]])
  expect(cat.status).toBe(75)
})
