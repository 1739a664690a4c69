import { newChain, type ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, parseEpoch, type DeviceId, type Epoch } from '../../protocol/ids.ts'
import type { World } from '../world.ts'
import { firstEpochAt, newEpoch } from './epoch.ts'
import { encodeHead, keys } from './index-entry.ts'
import { put, type IndexStore } from './index-store.ts'

export interface ChainParts {
  readonly device: DeviceId
  readonly stateDirectory: string
  readonly signer: Signer
  readonly index: IndexStore
  readonly world: World
}

/** Begins a chain in which nothing is sealed yet. `wallMs` outdoes a clock that is not set. */
export async function startChain(
  parts: ChainParts,
  than: { readonly newestFound?: Epoch | undefined; readonly wallMs?: number },
): Promise<ChainHead> {
  const { device, stateDirectory, signer, index, world } = parts
  const head = newChain(device, await newEpoch(stateDirectory, world, than))
  await index.write([
    put(keys.owner, ownerOf(device, signer)),
    put(keys.head, encodeHead({ head, at: null })),
  ])
  return head
}

/**
 * A chain with a number of that time, in place of one in which nothing is sealed yet. undefined where its number is of that
 * time already, or that time is out of all bounds.
 */
export async function restartChain(
  parts: ChainParts,
  { epoch, next }: ChainHead,
  wallMs: number,
): Promise<ChainHead | undefined> {
  const isOfThen = firstEpochAt(wallMs) <= epoch || parseEpoch(firstEpochAt(wallMs + 1000)) === undefined
  return next > 0 || isOfThen ? undefined : startChain(parts, { wallMs })
}

/** Whose the records of a queue are. */
export function ownerOf(device: DeviceId, signer: Signer): string {
  return `${device} ${base64url(signer.publicKey.id)}`
}
