import { parseEpoch, type Epoch } from '../../protocol/ids.ts'
import type { Files, World } from '../world.ts'
import { replaceFile } from './replace-file.ts'

const randomValues = 2 ** 20

/**
 * The number of a new chain: the wall clock's seconds × 2^20 plus 20 random bits, always larger than the last one this
 * drone remembers or finds. It is remembered outside of the queue, so that a queue that was lost does not lose it too.
 */
export async function newEpoch(
  stateDirectory: string,
  { files, clock, chance }: Pick<World, 'files' | 'clock' | 'chance'>,
  {
    newestFound,
    wallMs = clock.wallMs(),
  }: { readonly newestFound?: Epoch | undefined; wallMs?: number } = {},
): Promise<Epoch> {
  const remembered = (await rememberedEpoch(stateDirectory, files)) ?? -1
  const last = Math.max(remembered, newestFound ?? -1)
  const byClock = firstEpochAt(wallMs) + chance.below(randomValues)
  const epoch = Math.max(byClock, last + 1) as Epoch
  await replaceFile(stateDirectory, 'epoch', `${epoch}\n`, files)
  return epoch
}

/** The smallest that a chain gets which begins at this time of the wall clock. */
export function firstEpochAt(wallMs: number): number {
  return Math.floor(wallMs / 1000) * randomValues
}

/** The number of the newest chain that was begun here; undefined where that is not remembered. */
export async function rememberedEpoch(stateDirectory: string, files: Files): Promise<Epoch | undefined> {
  const text = await files.readWhole(`${stateDirectory}/epoch`)
  return parseEpoch(Number(Buffer.from(text ?? []).toString() || -1))
}
