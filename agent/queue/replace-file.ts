import type { Files } from '../world.ts'

/** Puts a file of this content at `directory/name`: after a power cut either the old one is there or this one, whole. */
export async function replaceFile(
  directory: string,
  name: string,
  content: string,
  files: Files,
): Promise<void> {
  const path = `${directory}/${name}`
  const next = `${path}.new`
  await files.remove(next).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause
  })
  {
    await using file = await files.create(next)
    await file.write([Buffer.from(content)], 0)
    await file.sync()
  }
  await files.rename(next, path)
  await files.syncDirectory(directory)
}
