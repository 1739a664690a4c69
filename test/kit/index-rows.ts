import { join } from 'node:path'
import { keys } from '../../agent/queue/index-entry.ts'
import { allUnder, IndexStore } from '../../agent/queue/index-store.ts'
import { realWorld } from '../../agent/world.ts'

/** What the index in a state folder has of ranges, all streams together: each key's length of range, in the order of the keys. */
export async function rangeRows(state: string): Promise<readonly (readonly [string, number])[]> {
  await using index = await IndexStore.open(() => realWorld().openIndex(join(state, 'queue')))
  const rows: (readonly [string, number])[] = []
  for await (const [key, value] of allUnder(index, keys.shipped))
    rows.push([key, (JSON.parse(value) as { length: number }).length])
  return rows
}
