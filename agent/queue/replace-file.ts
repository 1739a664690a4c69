import type { Files } from '../world.ts'

/** Puts a file of this content at `directory/name`: after a power cut either the old one is there or this one, whole. */
export async function replaceFile(
  directory: string,
  name: string,
  content: string,
  files: Files,
): Promise<void> {
  const path = `${directory}/${name}`
  const next = nextOf(directory, name)
  await removeIfThere(next, files)
  {
    await using file = await files.create(next)
    await file.write([Buffer.from(content)], 0)
    await file.sync()
  }
  await files.rename(next, path)
  await files.syncDirectory(directory)
}

/** Removes what a crash left of files that were to be replaced. Where the disk refuses, replacing them removes it. */
export async function removeHalfWritten(
  directory: string,
  names: readonly string[],
  files: Files,
): Promise<void> {
  for (const name of names) await removeIfThere(nextOf(directory, name), files).catch(() => undefined)
}

const nextOf = (directory: string, name: string): string => `${directory}/${name}.new`

async function removeIfThere(path: string, files: Files): Promise<void> {
  await files.remove(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause
  })
}
