import { open, type FileHandle } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { DiskStore } from '../../server-stub/store/disk-store.ts'
import { makeFolder } from '../../server-stub/store/durable.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run } from './test-server.ts'

test('a folder that cannot be is a fault, and not tried for ever', async () => {
  await expect(makeFolder('/proc/logbox/data')).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await run('serve', '--data', '/proc/logbox', '--port', '0')).toMatchObject({
    status: 74,
    err: expect.stringContaining('cannot open /proc/logbox'),
  })
})

type Write = (this: FileHandle, buffer: Buffer, offset: number, length: number) => Promise<unknown>

interface Disk extends Disposable {
  freeBytes: number
  /** By the largest write since this was last set to 0. */
  writtenBytes: number
}

/** A disk that takes no write that is larger than what it says is free. */
async function diskAt(folder: string): Promise<Disk> {
  await using any = await open(folder, 'r')
  const prototype = Object.getPrototypeOf(any) as { write: Write }
  const write = Reflect.get(prototype, 'write')
  const disk = { freeBytes: 0, writtenBytes: 0, [Symbol.dispose]: () => mocked.mockRestore() }
  const mocked = vi.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, ...args) {
    if (args[2] > disk.freeBytes) throw Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' })
    disk.writtenBytes = Math.max(disk.writtenBytes, args[2])
    return Reflect.apply(write, this, args)
  })
  return disk
}

test('a full store is ready again once there is room for what last found none, and not before', async () => {
  await using folder = await tempFolder()
  using disk = await diskAt(folder.path)
  const store = new DiskStore(folder.path, async () => disk.freeBytes)
  disk.freeBytes = 400_000
  await store.probe()
  {
    await using draft = await store.draft()
    await draft.append(new Uint8Array(80_000))
    await expect(draft.append(new Uint8Array(400_001))).rejects.toMatchObject({ code: 'STORE_FULL' })
  }

  disk.writtenBytes = 0
  await expect(store.probe()).rejects.toMatchObject({ code: 'STORE_FULL' })
  disk.freeBytes = 480_000
  await expect(store.probe()).rejects.toMatchObject({ code: 'STORE_FULL' })
  disk.freeBytes = 480_001
  await store.probe()
  disk.freeBytes = 400_000
  await store.probe()
  expect(disk.writtenBytes).toBe(4096)
})

test('a probe asks the disk itself how much is free', async () => {
  await using folder = await tempFolder()
  await expect(new DiskStore(folder.path).probe()).resolves.toBeUndefined()
})
