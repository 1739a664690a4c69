import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
import type { BlobKey } from '../../server-stub/store/blob-store.ts'
import { makeSigner } from '../kit/drone.ts'

interface Opened extends AsyncDisposable {
  readonly catalog: Catalog
  /** The same catalog as another process sees it. */
  again(): Promise<Catalog>
}

async function sqlite(): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'logbox-catalog-'))
  const file = join(folder, 'catalog.db')
  const opened: Catalog[] = []
  const open = (): Catalog => {
    const catalog = SqliteCatalog.open(file)
    opened.push(catalog)
    return catalog
  }
  return {
    catalog: open(),
    again: async () => open(),
    [Symbol.asyncDispose]: async () => {
      for (const catalog of opened) await catalog[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
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

describe.each([{ name: 'SqliteCatalog', open: sqlite }])('$name', ({ open }) => {
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

  test('keeps settings and content hashes, and finds itself sound', async () => {
    await using opened = await open()
    await commit(opened.catalog, 5, 'a', record(0))
    const hash = { records: 1, sha256: digestOf('content') }
    await opened.catalog.keepContentHash(device, stream, hash)
    await opened.catalog.keepSetting('agrees', 'no')
    await opened.catalog.keepSetting('agrees', 'yes')

    const catalog = await opened.again()
    expect(await catalog.contentHash(device, stream)).toEqual(hash)
    expect(await catalog.setting('agrees')).toBe('yes')
    expect(await catalog.setting('receiptKey')).toBeUndefined()
    expect(await catalog.checkup()).toEqual([])
  })
})
