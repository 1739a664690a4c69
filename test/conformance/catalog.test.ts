import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import {
  sha256,
  type ByteOffset,
  type DeviceId,
  type Digest,
  type Epoch,
  type Sequence,
  type StreamId,
} from '../../protocol/ids.ts'
import type { Catalog, NewRecord, RecordRow } from '../../server-stub/catalog/catalog.ts'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import type { Clock } from '../../server-stub/clock.ts'
import { realClock } from '../../server-stub/parts.ts'
import type { BlobKey } from '../../server-stub/store/blob-store.ts'
import { makeSigner } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'

interface Opened extends AsyncDisposable {
  readonly file: string
  readonly catalog: Catalog
  /** The same catalog as another process sees it. */
  again(): Promise<Catalog>
}

async function sqlite(clock: Clock = realClock): Promise<Opened> {
  const folder = await tempFolder()
  const file = join(folder.path, 'catalog.db')
  const opened: Catalog[] = []
  const open = (): Catalog => {
    const catalog = SqliteCatalog.open(file, clock)
    opened.push(catalog)
    return catalog
  }
  return {
    file,
    catalog: open(),
    again: async () => open(),
    [Symbol.asyncDispose]: async () => {
      for (const catalog of opened) await catalog[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const device = 'hexa-7' as DeviceId
const stream = 'AAAAAAAAAAAAAAAAAAAAAA' as StreamId
const epoch = 1 as Epoch
/** As SQLite gives it: no Buffer. */
const digestOf = (text: string): Digest => Uint8Array.from(sha256(Buffer.from(text))) as Digest
const blob = (name: string): BlobKey => `records/${name}.logb` as BlobKey

function record(seq: number, change: Partial<RecordRow> = {}, path = '/a', supersedes = false): NewRecord {
  const digest = digestOf(`${seq}`)
  const row: RecordRow = {
    device,
    epoch,
    seq: seq as Sequence,
    prev: digest,
    digest,
    stream,
    kind: 'data',
    role: 'first',
    offset: (seq * 10) as ByteOffset,
    length: 10,
    reason: null,
    sha256: null,
    hasBody: true,
    at: { blob: blob('a'), offset: seq * 100, bytes: 100 },
    ...change,
  }
  return { row, label: { path, tags: new Map([['vehicle', 'hexa-7']]) }, supersedes }
}

const commit = (
  catalog: Catalog,
  nowMs: number,
  name: string,
  ...records: readonly NewRecord[]
): Promise<void> => catalog.commit({ device, nowMs, blobs: [{ key: blob(name), bytes: 1000 }], records })

describe.each([{ name: 'SqliteCatalog', open: () => sqlite() }])('$name', ({ open }) => {
  test('gives back the rows of a commit, in the order of the chain and in the order of the blob', async () => {
    await using opened = await open()
    const [first, second] = [record(0), record(1)]
    await commit(opened.catalog, 5, 'a', second, first)

    const catalog = await opened.again()
    expect(await Array.fromAsync(catalog.recordsOf(device, stream))).toEqual([first.row, second.row])
    expect(await Array.fromAsync(catalog.recordsOf(device))).toEqual([first.row, second.row])
    expect(await catalog.recordsAt(device, epoch, 1 as Sequence)).toEqual([second.row])
    expect(await catalog.recordsIn(blob('a'))).toEqual([first.row, second.row])
    expect(await catalog.hasBlob(blob('a'))).toBe(true)
    expect(await Array.fromAsync(catalog.blobs())).toEqual([{ key: blob('a'), bytes: 1000 }])
  })

  test('keeps all of a commit or nothing', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0))
    const again = record(0, { at: { blob: blob('b'), offset: 0, bytes: 100 } })

    await expect(commit(opened.catalog, 6, 'b', record(1), again)).rejects.toThrow('UNIQUE')

    expect(await opened.catalog.hasBlob(blob('b'))).toBe(false)
    expect(await Array.fromAsync(opened.catalog.recordsOf(device))).toHaveLength(1)
  })

  test('refuses a second first record at a place, and the same manifest twice', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0))
    const other = { digest: digestOf('other'), at: { blob: blob('b'), offset: 0, bytes: 9 } }

    await expect(commit(opened.catalog, 6, 'b', record(0, other))).rejects.toThrow('UNIQUE')
    await expect(
      commit(opened.catalog, 6, 'b', record(0, { ...other, ...record(0).row, role: 'fork' })),
    ).rejects.toThrow('UNIQUE')
    await commit(opened.catalog, 7, 'b', record(0, { ...other, role: 'fork' }))

    expect((await opened.catalog.recordsAt(device, epoch, 0 as Sequence)).map(({ role }) => role)).toEqual([
      'first',
      'fork',
    ])
    expect(await opened.catalog.streams()).toMatchObject([{ forks: 1 }])
  })

  test('puts the record with its body in the place of the one without', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0, { hasBody: false }))
    const whole = record(0, { at: { blob: blob('b'), offset: 0, bytes: 100 } }, '/a', true)
    await commit(opened.catalog, 6, 'b', whole)

    expect(await Array.fromAsync(opened.catalog.recordsOf(device))).toEqual([whole.row])
    expect(await opened.catalog.recordsIn(blob('a'))).toMatchObject([{ role: 'superseded', hasBody: false }])
  })

  test('labels a stream as its last record does, in whatever order they arrive', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(2, {}, '/renamed'))
    const early = record(1, { at: { blob: blob('b'), offset: 0, bytes: 9 } }, '/old')
    await commit(opened.catalog, 9, 'b', early)

    expect(await opened.catalog.streams(device)).toMatchObject([
      {
        path: '/renamed',
        firstSeq: 1,
        firstSeenMs: 5,
        lastSeenMs: 9,
        tags: new Map([['vehicle', 'hexa-7']]),
      },
    ])
    expect(await opened.catalog.streams('other' as DeviceId)).toEqual([])
  })

  test('the streams of a path are given newest first, and no more than were asked for', async () => {
    await using opened = await open()
    const { catalog } = opened
    const ids = ['A', 'B', 'C', 'D'].map((letter) => `${letter.repeat(21)}A` as StreamId)
    const paths = ['/a', '/a', '/b', '/a']
    const records = ids.map((id, seq) => record(seq, { stream: id }, paths[seq]))
    await commit(catalog, 1, 'a', ...records)
    const at = async (path: string, most: number): Promise<string[]> =>
      (await catalog.streamsAt(device, path, most)).map(({ stream: id }) => id.slice(0, 1))

    expect([await at('/a', 9), await at('/a', 2), await at('/b', 9), await at('/none', 9)]).toEqual([
      ['D', 'B', 'A'],
      ['D', 'B'],
      ['C'],
      [],
    ])
    expect(await catalog.streamsAt('other' as DeviceId, '/a', 9)).toEqual([])
  })

  test('keeps a name for its key, and a revoked key revoked', async () => {
    await using opened = await open()
    const [key, other] = [makeSigner().publicKey, makeSigner().publicKey]
    const { catalog } = opened

    expect(await catalog.addDevice(device, key, 1)).toBe('added')
    expect(await catalog.addDevice(device, key, 2)).toBe('known')
    expect(await catalog.addDevice(device, other, 3)).toBe('otherKey')
    expect(await catalog.revokeDevice('nobody' as DeviceId, 4)).toBe(false)
    expect(await catalog.revokeDevice(device, 5)).toBe(true)
    expect(await catalog.revokeDevice(device, 6)).toBe(true)
    expect(await catalog.addDevice(device, key, 7)).toBe('revoked')
    expect(await (await opened.again()).device(device)).toMatchObject({
      addedMs: 1,
      revokedMs: 5,
      lastSeenMs: null,
    })
  })

  test('another process sees at once what was committed', async () => {
    await using opened = await open()
    const other = await opened.again()
    await opened.catalog.addDevice(device, makeSigner().publicKey, 1)
    await commit(opened.catalog, 5, 'a', record(0))

    expect(await other.devices()).toMatchObject([{ device, lastSeenMs: 5 }])
    expect(await other.recordsAt(device, epoch, 0 as Sequence)).toHaveLength(1)
  })

  test('gives what was superseded only to who asks for every record', async () => {
    await using opened = await open()
    const [envelope, alone] = [record(0, { hasBody: false }), record(1)]
    await commit(opened.catalog, 5, 'a', envelope, alone)
    const whole = record(0, { at: { blob: blob('b'), offset: 0, bytes: 100 } }, '/a', true)
    await commit(opened.catalog, 6, 'b', whole)

    expect(await Array.fromAsync(opened.catalog.everyRecordOf(device))).toEqual([
      whole.row,
      { ...envelope.row, role: 'superseded' },
      alone.row,
    ])
  })

  test('a snapshot stays as it is, whatever is committed later', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0))
    const { catalog } = opened
    await using snapshot = await catalog.snapshot()
    await commit(catalog, 6, 'b', record(1, { at: { blob: blob('b'), offset: 0, bytes: 9 } }))
    await catalog.addDevice(device, makeSigner().publicKey, 1)

    expect(await Array.fromAsync(snapshot.recordsOf(device))).toHaveLength(1)
    expect(await Array.fromAsync(snapshot.blobs())).toHaveLength(1)
    expect([await snapshot.hasBlob(blob('b')), await catalog.hasBlob(blob('b'))]).toEqual([false, true])
    expect(await snapshot.devices()).toEqual([])
    await expect(snapshot.keepSetting('agrees', 'yes')).rejects.toThrow('')
  })

  test('keeps settings and content proofs, and finds itself sound', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0))
    const proof = digestOf('content')
    await opened.catalog.keepContentProof(device, stream, proof)
    await opened.catalog.keepSetting('agrees', 'no')
    await opened.catalog.keepSetting('agrees', 'yes')

    const catalog = await opened.again()
    expect(await catalog.contentProof(device, stream)).toEqual(proof)
    expect(await catalog.setting('agrees')).toBe('yes')
    expect(await catalog.setting('receiptKey')).toBeUndefined()
    expect(await catalog.checkup()).toEqual([])
  })
})

async function lockedOut(clock: Clock): Promise<Opened & { readonly lock: DatabaseSync }> {
  const opened = await sqlite(clock)
  await opened.catalog.addDevice(device, makeSigner().publicKey, 1)
  const lock = new DatabaseSync(opened.file)
  lock.exec('BEGIN IMMEDIATE')
  return { ...opened, lock }
}

describe('while another process holds the write lock, SqliteCatalog', () => {
  test('writes once it is let go, and sleeps until then where it would hold up the server', async () => {
    const sleeping = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const sleep = async (): Promise<void> => {
      sleeping.resolve()
      await release.promise
    }
    await using opened = await lockedOut({ now: () => 0, monotonicMs: () => 0, sleep })
    const writing = commit(opened.catalog, 5, 'a', record(0))
    await sleeping.promise
    expect(await opened.catalog.devices()).toMatchObject([{ lastSeenMs: null }])
    opened.lock.close()
    release.resolve()

    await writing
    expect(await opened.catalog.devices()).toMatchObject([{ lastSeenMs: 5 }])
  })

  test('gives up after five seconds as busy, and nothing of the write is there', async () => {
    let nowMs = 0
    const sleep = async (ms: number): Promise<void> => void (nowMs += ms * 20)
    await using opened = await lockedOut({ now: () => 0, monotonicMs: () => nowMs, sleep })

    await expect(commit(opened.catalog, 5, 'a', record(0))).rejects.toMatchObject({ code: 'CATALOG_BUSY' })

    expect(nowMs).toBeGreaterThanOrEqual(5000)
    opened.lock.close()
    expect(await opened.catalog.hasBlob(blob('a'))).toBe(false)
  })
})
