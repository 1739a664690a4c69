import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { BlobKey, BlobStore } from '../../server-stub/store/blob-store.ts'
import { DiskStore } from '../../server-stub/store/disk-store.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { MemoryStore } from '../server-stub/memory-store.ts'

interface Opened extends AsyncDisposable {
  readonly store: BlobStore
  /** The same store after its process died. */
  reopen(): BlobStore
}

async function onDisk(): Promise<Opened> {
  const folder = await tempFolder()
  return {
    store: new DiskStore(folder.path),
    reopen: () => new DiskStore(folder.path),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

async function inMemory(): Promise<Opened> {
  const store = new MemoryStore()
  return { store, reopen: () => store, [Symbol.asyncDispose]: async () => undefined }
}

const key = (name: string): BlobKey => `records/hexa-7/1/000000000/${name}.logb` as BlobKey
const text = async (
  store: BlobStore,
  name: string,
  offset: number,
  bytes: number,
): Promise<string | undefined> => {
  const found = await store.read(key(name), offset, bytes)
  return found && Buffer.from(found).toString()
}

async function put(store: BlobStore, name: string, ...pieces: readonly string[]): Promise<void> {
  await using draft = await store.draft()
  for (const piece of pieces) await draft.append(Buffer.from(piece))
  await draft.seal(key(name))
}

describe.each([
  { name: 'DiskStore', open: onDisk },
  { name: 'MemoryStore', open: inMemory },
])('$name', ({ open }) => {
  test('gives back what was appended, whole or in part, also after a restart', async () => {
    await using opened = await open()
    await put(opened.store, 'a', 'one ', 'two ', 'three')

    expect(await text(opened.store, 'a', 0, 13)).toBe('one two three')
    expect(await text(opened.reopen(), 'a', 4, 3)).toBe('two')
  })

  test('says that bytes past the end, or of a blob that is not there, are not there', async () => {
    await using opened = await open()
    await put(opened.store, 'a', 'abc')

    expect(await text(opened.store, 'a', 1, 3)).toBeUndefined()
    expect(await text(opened.store, 'b', 0, 1)).toBeUndefined()
    expect(await opened.store.has(key('a'))).toBe(true)
    expect(await opened.store.has(key('b'))).toBe(false)
  })

  test('shows a draft to nobody before it is sealed, and forgets one that never is', async () => {
    await using opened = await open()
    {
      await using draft = await opened.store.draft()
      await draft.append(Buffer.from('unseen'))
      expect(draft.bytes).toBe(6)
      expect(Buffer.from(await draft.read(2, 3)).toString()).toBe('see')
    }
    expect(await Array.fromAsync(opened.store.list('records'))).toEqual([])
  })

  test('keeps drafts that are written at the same time apart', async () => {
    await using opened = await open()
    await using first = await opened.store.draft()
    await using second = await opened.store.draft()
    await first.append(Buffer.from('1'))
    await second.append(Buffer.from('2'))
    await first.append(Buffer.from('1'))
    await second.seal(key('second'))
    await first.seal(key('first'))

    expect(await text(opened.store, 'first', 0, 2)).toBe('11')
    expect(await text(opened.store, 'second', 0, 1)).toBe('2')
  })

  test('lists every blob under a prefix once, with its size', async () => {
    await using opened = await open()
    for (const name of ['c', 'a', 'b']) await put(opened.store, name, name.repeat(3))

    const listed = await Array.fromAsync(opened.store.list('records'))
    const found = listed.map((blob) => `${blob.key} ${blob.bytes}`).toSorted()
    expect(found).toEqual(['a', 'b', 'c'].map((name) => `${key(name)} 3`))
    expect(await Array.fromAsync(opened.store.list('forks'))).toEqual([])
  })

  test('stores a blob whenever the probe has passed', async () => {
    await using opened = await open()
    await opened.store.probe()
    await put(opened.store, 'a', 'x')
    expect(await Array.fromAsync(opened.store.list('records'))).toHaveLength(1)
  })
})

test('what a crash left of drafts on the disk is removed at the next start, and no blob with it', async () => {
  await using folder = await tempFolder()
  const store = new DiskStore(folder.path)
  await put(store, 'a', 'kept')
  await using draft = await store.draft()
  await draft.append(Buffer.from('left'))

  await new DiskStore(folder.path).removeDrafts()

  expect((await readdir(folder.path, { recursive: true })).filter((name) => name.endsWith('.part'))).toEqual(
    [],
  )
  expect(await text(store, 'a', 0, 4)).toBe('kept')
})
