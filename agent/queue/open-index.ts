import { agentFault } from '../faults.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { putTablesBack, removeTablesAside, setTablesAside } from './damaged-tables.ts'
import { IndexStore } from './index-store.ts'
import type { Reserve } from './reserve.ts'
import { isOfTheWorld } from './world-refuses.ts'

export interface OpenedIndex {
  readonly index: IndexStore
  /** Where a damaged one before it is kept. */
  readonly movedAside: string | undefined
}

/**
 * Opens LevelDB in the state folder. One that is damaged is moved aside, whole, and another begun: the segments outrank it.
 * Throws STATE_HELD where another agent has it, QUEUE_UNREADABLE where the world around it, and not the files, refuses.
 */
export async function openIndex(
  stateDirectory: string,
  world: World,
  reserve: Reserve,
): Promise<OpenedIndex> {
  const path = `${stateDirectory}/queue`
  const holderFile = `${stateDirectory}/holder`
  try {
    const opened = await openUndamaged(path, world, reserve)
    await writeHolder(holderFile, world)
    return opened
  } catch (cause) {
    if (!isLocked(cause)) throw agentFault('QUEUE_UNREADABLE', `${path} does not open`, { cause })
    const holder = Buffer.from((await world.files.readWhole(holderFile)) ?? []).toString()
    const who = /^\d+\n$/.test(holder) ? `process ${holder.trim()}` : 'another process'
    throw agentFault('STATE_HELD', `${stateDirectory} is in use by ${who}`, { cause })
  }
}

async function openUndamaged(path: string, world: World, reserve: Reserve): Promise<OpenedIndex> {
  const open = (): Promise<IndexStore> => IndexStore.open(() => world.openIndex(path), reserve)
  const damagedTable = await setTablesAside(path, world.files)
  let damage: unknown
  try {
    const index = await open()
    damage = await damageOf(index)
    if (damage === undefined) {
      await removeTablesAside(path, world.files).catch(() => undefined)
      return { index, movedAside: undefined }
    }
    await index[Symbol.asyncDispose]()
  } catch (cause) {
    const isUntold = isLocked(cause) || isOfTheWorld(cause)
    if (isUntold) await putTablesBack(path, world.files)
    if (isUntold) throw cause
    damage = damagedTable ?? cause
  }
  const movedAside = await moveAside(path, damage, world)
  return { index: await open(), movedAside }
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

async function moveAside(path: string, cause: unknown, { files, journal }: World): Promise<string> {
  let number = 1
  while (await exists(`${path}.damaged-${number}`, files)) number++
  const aside = `${path}.damaged-${number}`
  await files.rename(path, aside)
  journal.indexMovedAside(aside, sayCause(cause))
  return aside
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
