import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { expect, test } from 'vitest'
import { loadSigner } from '../../agent/key-file.ts'
import { base64url, sha256 } from '../../protocol/ids.ts'
import { Drone, labelOf, post, type Sealed } from '../kit/drone.ts'
import { Sortie } from '../kit/sortie.ts'

const place = ({ manifest }: Sealed): string =>
  [manifest.epoch, manifest.seq].map((count) => String(count).padStart(16, '0')).join('/')

const evidence = (offset: number, bytes: string) => ({
  offset,
  length: bytes.length,
  sha256: base64url(sha256(Buffer.from(bytes))),
})

interface OldState {
  readonly drone: Drone
  readonly sent: Sealed
  readonly queued: Sealed
  readonly path: string
}

/** The state folder as Logbox 0.1.0 left it, text for text: one record has its receipt, one waits. */
async function writeOldState(folder: string, { drone, sent, queued, path }: OldState): Promise<void> {
  const { dev, ino, birthtimeNs } = await stat(path, { bigint: true })
  const { stream } = queued.manifest
  await mkdir(join(folder, 'segments'), { recursive: true })
  await writeFile(join(folder, 'segments', '00000001.logb'), Buffer.concat([sent.bytes, queued.bytes]))
  await writeFile(join(folder, 'epoch'), '7\n')
  await using index = new Level(join(folder, 'queue'))
  await index.open()
  const entry = [1, sent.bytes.length, queued.bytes.length, base64url(queued.digest), stream, 6]
  const resume = {
    stream,
    path: base64url(Buffer.from(path)),
    identity: { device: String(dev), inode: String(ino), birthNs: String(birthtimeNs) },
    position: 10,
    evidence: [evidence(0, 'one\n'), evidence(4, 'two...')],
  }
  await index.batch([
    { type: 'put', key: 'owner', value: `${drone.device} ${base64url(drone.signer.publicKey.id)}` },
    {
      type: 'put',
      key: 'head',
      value: JSON.stringify({ epoch: 7, next: 2, last: base64url(queued.digest) }),
    },
    { type: 'put', key: 'acknowledged', value: place(queued) },
    { type: 'put', key: `record/${place(queued)}`, value: JSON.stringify(entry) },
    { type: 'put', key: `resume/${stream}`, value: JSON.stringify(resume) },
    { type: 'put', key: `receipted/${stream}`, value: '4' },
  ])
}

// LB-063
test('state that an older version wrote is carried on: the queue is delivered, files are read on, nothing comes twice', async () => {
  await using sortie = await Sortie.start()
  await sortie.write('app.log', 'one\ntwo...three\n')
  const drone = new Drone(sortie.device, loadSigner(join(sortie.folder, 'device.key')), 7)
  const label = labelOf(sortie.path('app.log'))
  const sent = await drone.data(label, 0, 'one\n')
  const queued = await drone.data(label, 4, 'two...')
  await post(`http://127.0.0.1:${sortie.server.port}`, sent.bytes)
  await writeOldState(sortie.state, { drone, sent, queued, path: sortie.path('app.log') })
  await sortie.agent.start()
  await sortie.land()
  const [stream] = await sortie.streams()
  expect(stream?.seqs).toEqual([0, 1, 2])
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'one\ntwo...three\n' }])
})
