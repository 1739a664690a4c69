import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Makes the names in a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** Makes a folder and those above it; the name of each that it makes is durable. */
export async function makeFolder(folder: string): Promise<void> {
  const whole = resolve(folder)
  if (await isFolder(whole)) return
  // Not Node's own way to make those above: where the last one cannot be, as in /proc, that never ends.
  await makeFolder(dirname(whole))
  await mkdir(whole).catch(async (cause: unknown) => {
    // Another may have made it since.
    if (!(await isFolder(whole))) throw cause
  })
  await syncFolder(dirname(whole))
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
/** Appends all of `bytes` at `position`, however many writes that takes. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Writes a file that is there whole or not at all, whenever the power fails. */
export async function writeFileDurably(file: string, bytes: Uint8Array, mode: number): Promise<void> {
  const draft = `${file}.part`
  await rm(draft, { force: true })
  {
    await using handle = await open(draft, 'wx', mode)
    await writeAll(handle, bytes, 0)
    await handle.sync()
  }
  await rename(draft, file)
  await syncFolder(dirname(file))
}
