import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Makes the names in a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** Makes a folder and those above it; all their names are durable up to the first that was there before. */
export async function makeFolder(folder: string): Promise<void> {
  const whole = resolve(folder)
  const firstMade = await mkdir(whole, { recursive: true })
  if (firstMade === undefined) return
  for (let made = whole; made.length >= firstMade.length; made = dirname(made)) {
    await syncFolder(dirname(made))
  }
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
