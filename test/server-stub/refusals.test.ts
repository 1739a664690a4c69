import { describe, expect, test } from 'vitest'
import { hex } from '../../protocol/ids.ts'
import { blobsIn } from '../kit/blobs-in.ts'
import { Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

test('good records are stored beside bad ones, and each bad one is refused with its code', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const [drone, other, stranger] = [new Drone('hexa-7'), new Drone('hexa-8'), new Drone('hexa-7')]
  await server.register(drone)
  await server.register(other)
  const label = labelOf('/a')
  const first = await drone.data(label, 0, 'good')
  const wrongHash = await drone.altered(label, 'bad!', (manifest) => manifest, Buffer.from('BAD!'))
  const bomb = await drone.altered(label, Buffer.alloc(50_000), (manifest) =>
    manifest.kind === 'data' ? { ...manifest, length: 49_999 } : manifest,
  )
  const long = await drone.altered(label, 'x', (manifest) => manifest, Buffer.from('xy'))
  const last = await drone.data(label, 4, ' too')

  const [alien, unsigned] = [await other.data(label, 0, 'x'), await stranger.data(label, 0, 'x')]
  const outcomes = await server.send(drone, first, wrongHash, alien, unsigned, bomb, long, last)

  expect(outcomes).toEqual([
    'stored',
    'BODY_HASH_WRONG',
    'DEVICE_MIXED',
    'KEY_UNKNOWN',
    'BODY_UNDECODABLE',
    'BODY_LENGTH_WRONG',
    'stored',
  ])
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ out: Buffer.from('good too') })
})

test('a bad first record does not hide its good neighbours, and a batch of bad ones stores nothing', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const good = await drone.data(labelOf('/a'), 0, 'good')
  const forged = Buffer.from(good.bytes)
  const signatureEnd = forged.length - 1 - 'good'.length
  forged[signatureEnd - 10] = (forged[signatureEnd - 10] ?? 0) ^ 1

  const alone = await post(server.url, forged)
  expect([alone.status, problemCode(alone)]).toEqual([400, 'BATCH_UNPROVEN'])
  expect(await blobsIn(folder.path)).toEqual([])
  expect(server.facts).not.toContain('stored')
  expect(await server.send(drone, forged, good)).toEqual(['SIGNATURE_WRONG', 'stored'])
})

// LB-101
test('a signature replayed with S + L is refused', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const { bytes } = await drone.data(labelOf('/a'), 0, 'x')
  const replayed = Buffer.from(bytes)
  // S ends the signature, little-endian; one byte of body and its head follow.
  const s = replayed.subarray(replayed.length - 2 - 32, replayed.length - 2)
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const raised = BigInt(`0x${hex(s.toReversed())}`) + order
  s.set(Buffer.from(raised.toString(16).padStart(64, '0'), 'hex').toReversed())

  const alone = await post(server.url, replayed)
  expect([alone.status, problemCode(alone)]).toEqual([400, 'BATCH_UNPROVEN'])
  const other = await drone.data(labelOf('/a'), 1, 'y')
  expect(await server.send(drone, Buffer.concat([replayed, other.bytes]))).toEqual([
    'SIGNATURE_WRONG',
    'stored',
  ])
})

/** As it stands, with another signature, and with another body. */
async function overheard(drone: Drone) {
  const good = await drone.data(labelOf('/a'), 0, 'good')
  const otherSignature = Buffer.from(good.bytes)
  const otherBody = Buffer.from(good.bytes)
  otherBody[otherBody.length - 1] = 0
  const inSignature = otherSignature.length - 1 - 'good'.length - 10
  otherSignature[inSignature] = (otherSignature[inSignature] ?? 0) ^ 1
  return { good, otherSignature, otherBody }
}

describe('whoever saw a record go by', () => {
  test('gets no signed refusal that names it: nothing that he brings proves who he is', async () => {
    await using folder = await tempFolder()
    await using server = await TestServer.start(folder.path)
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const { good, otherSignature, otherBody } = await overheard(drone)
    for (const batch of [otherSignature, otherBody]) {
      const answer = await post(server.url, batch)
      expect([answer.status, problemCode(answer)]).toEqual([400, 'BATCH_UNPROVEN'])
    }
    await server.send(drone, good)
    // Nor with a record that is here already. That it is, is signed for whoever asks.
    for (const forged of [otherSignature, otherBody])
      expect(await server.send(drone, good, forged)).toEqual(['duplicate'])
  })

  test('may bring what the device itself made wrong: that refusal is true, whoever hears it', async () => {
    await using folder = await tempFolder()
    await using server = await TestServer.start(folder.path)
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const bomb = await drone.altered(labelOf('/a'), Buffer.alloc(50_000), (manifest) =>
      manifest.kind === 'data' ? { ...manifest, length: 49_999 } : manifest,
    )
    expect(await server.send(drone, bomb)).toEqual(['BODY_UNDECODABLE'])
  })
})
