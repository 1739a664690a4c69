import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { exportsOf, scriptOf, type Carried } from './part-script.ts'
import { warmCommands } from './warm-commands.ts'
import { warmDaemon } from './warm-daemon.ts'

/** What a binary carries, by the name that it asks for: paths of files. */
export type Assets = Readonly<Record<string, string>>

const none = new Uint8Array(0)

/**
 * The assets of a part of the program, from its bundle: itself and V8's code cache, of what is compiled in a real use too,
 * which comes before it is made. It is empty for another architecture than this one's. `assets` are the other ones.
 */
export async function partOf(
  name: string,
  bundle: string,
  assets: Assets,
  isOwnArchitecture: boolean,
): Promise<Assets> {
  const cache = `${bundle}.cache`
  await writeFile(cache, isOwnArchitecture ? await codeCacheOf(name, bundle, assets) : none)
  return { [name]: bundle, [`${name}-cache`]: cache }
}

async function codeCacheOf(name: string, bundle: string, assets: Assets): Promise<Uint8Array> {
  const source = await readFile(bundle, 'utf8')
  const script = scriptOf(name, source, none)
  await warm(name, exportsOf(script, asInBinary(assets)))
  const codeCache = script.createCachedData()
  if (scriptOf(name, source, codeCache).cachedDataRejected)
    throw new Error(`V8 refuses the code cache of ${name}`)
  return codeCache
}

function warm(name: string, part: unknown): Promise<void> {
  if (name === 'commands') return warmCommands(part as Parameters<typeof warmCommands>[0])
  if (name === 'daemon') return warmDaemon(part as Parameters<typeof warmDaemon>[0])
  throw new Error(`nobody knows how to use the part "${name}"`)
}

function asInBinary(assets: Assets): Carried {
  return (name) => new Uint8Array(readFileSync(assets[name] ?? name)).buffer
}
