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

/** A disk that takes no file that is larger. */
async function withRoom(folder: string): Promise<Disposable & { bytes: number }> {
  await using any = await open(folder, 'r')
  const prototype = Object.getPrototypeOf(any) as { write: Write }
  const write = Reflect.get(prototype, 'write')
  const room = { bytes: 0, [Symbol.dispose]: () => mocked.mockRestore() }
  const mocked = vi.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, ...args) {
    if (args[2] > room.bytes) throw Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' })
    return Reflect.apply(write, this, args)
  })
  return room
}

test('a full store is ready again once there is room for what last found none, and not before', async () => {
  await using folder = await tempFolder()
  const store = new DiskStore(folder.path)
  using room = await withRoom(folder.path)
  room.bytes = 400_000
  await store.probe()
  {
    await using draft = await store.draft()
    await draft.append(new Uint8Array(80_000))
    await expect(draft.append(new Uint8Array(400_001))).rejects.toMatchObject({ code: 'STORE_FULL' })
  }

  await expect(store.probe()).rejects.toMatchObject({ code: 'STORE_FULL' })
  room.bytes = 480_000
  await expect(store.probe()).rejects.toMatchObject({ code: 'STORE_FULL' })
  room.bytes = 480_001
  await store.probe()
  room.bytes = 400_000
  await store.probe()
})
