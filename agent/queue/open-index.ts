import { agentFault } from '../faults.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { IndexStore } from './index-store.ts'

/**
 * Opens LevelDB in the state folder. One that is damaged is moved aside, whole, and another begun: the segments outrank it.
 * Throws STATE_HELD where another agent has it, QUEUE_UNREADABLE where the world around it, and not the files, refuses.
 */
export async function openIndex(stateDirectory: string, world: World): Promise<IndexStore> {
  const path = `${stateDirectory}/queue`
  const holderFile = `${stateDirectory}/holder`
  try {
    const store = await openUndamaged(path, world)
    await writeHolder(holderFile, world)
    return store
  } catch (cause) {
    if (!isLocked(cause)) throw agentFault('QUEUE_UNREADABLE', `${path} does not open`, { cause })
    const holder = Buffer.from((await world.files.readWhole(holderFile)) ?? []).toString()
    const who = /^\d+\n$/.test(holder) ? `process ${holder.trim()}` : 'another process'
    throw agentFault('STATE_HELD', `${stateDirectory} is in use by ${who}`, { cause })
  }
}

async function openUndamaged(path: string, world: World): Promise<IndexStore> {
  try {
    const store = await IndexStore.open(() => world.openIndex(path))
    const damage = await damageOf(store)
    if (damage === undefined) return store
    await store[Symbol.asyncDispose]()
    await moveAside(path, damage, world)
  } catch (cause) {
    if (isLocked(cause) || isOfTheWorld(cause)) throw cause
    await moveAside(path, cause, world)
  }
  return IndexStore.open(() => world.openIndex(path))
}

/** Why not all of it can be read. It opens although blocks of its tables are damaged. */
async function damageOf(store: IndexStore): Promise<unknown> {
  const pieceEntries = 1000
  try {
    for (let from = ''; ;) {
      const last = (await store.entries(from, '\uffff', pieceEntries)).at(-1)
      if (!last) return undefined
      from = `${last[0]}\0`
    }
  } catch (cause) {
    if (isOfTheWorld(cause)) throw cause
    return cause
  }
}

async function moveAside(path: string, cause: unknown, { files, journal }: World): Promise<void> {
  let number = 1
  while (await exists(`${path}.damaged-${number}`, files)) number++
  const aside = `${path}.damaged-${number}`
  await files.rename(path, aside)
  journal.indexMovedAside(aside, sayCause(cause))
}

async function exists(path: string, files: World['files']): Promise<boolean> {
  return files.facts(path).then(
    () => true,
    () => false,
  )
}

/** LevelDB's lock is what counts; this only says to a person whose it is, and a full disk may keep it from that. */
async function writeHolder(path: string, world: World): Promise<void> {
  await world.files.remove(path).catch(() => undefined)
  await writeProcessId(path, world).catch(() => undefined)
}

async function writeProcessId(path: string, world: World): Promise<void> {
  await using file = await world.files.create(path)
  await file.write([Buffer.from(`${world.processId}\n`)], 0)
}

function isLocked(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  return ('code' in cause && cause.code === 'LEVEL_LOCKED') || isLocked(cause.cause)
}

/** Nothing is wrong with the files: the disk is full, or they are not this user's. LevelDB gives no codes, only words. */
const worldly =
  /no space left|permission denied|not permitted|read-only|too many open files|cannot allocate|quota/i

function isOfTheWorld(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  const { code } = cause as NodeJS.ErrnoException
  const isCode = ['ENOSPC', 'EACCES', 'EPERM', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'EDQUOT'].includes(
    code ?? '',
  )
  return isCode || worldly.test(cause.message) || isOfTheWorld(cause.cause)
}
