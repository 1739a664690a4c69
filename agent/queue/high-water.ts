import type { ChainHead } from '../../protocol/chain.ts'
import { equalBytes, type DeviceId } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'
import { digestOf } from '../../protocol/verify.ts'
import type { Files } from '../world.ts'
import { rememberedEpoch } from './epoch.ts'
import { decodeHead, encodeHead, type StoredHead } from './index-entry.ts'
import { replaceFile } from './replace-file.ts'
import type { Extent, SegmentLog } from './segment-log.ts'

const name = 'head'

/** Notes how far the chain goes, outside of LevelDB, before the segment goes that proves it. */
export function noteHighWater(stateDirectory: string, head: ChainHead, files: Files): Promise<void> {
  return replaceFile(stateDirectory, name, `${encodeHead({ head, at: null })}\n`, files)
}

async function readHighWater(
  stateDirectory: string,
  device: DeviceId,
  files: Files,
): Promise<ChainHead | undefined> {
  const text = Buffer.from((await files.readWhole(`${stateDirectory}/${name}`)) ?? []).toString()
  return decodeHead(device, text)?.head
}

/**
 * The head that LevelDB has, where it is proven not to be one of the past: its last record stands in its segment, or the
 * note of how far the chain went names it. A LevelDB that went back in time must never have a place taken twice.
 */
export async function provenHead(
  stored: StoredHead | undefined,
  stateDirectory: string,
  segments: SegmentLog,
  files: Files,
): Promise<ChainHead | undefined> {
  if (!stored) return undefined
  const { head, at } = stored
  // It is of before the newest chain began, and nobody knows how far its own went after that.
  if (((await rememberedEpoch(stateDirectory, files)) ?? 0) > head.epoch) return undefined
  const noted = await readHighWater(stateDirectory, head.device, files)
  if (noted && noted.epoch === head.epoch && noted.next > head.next) return undefined
  if (at === null || (noted && isSame(noted, head))) return head
  return (await isLastAt(at, head, segments)) ? head : undefined
}

function isSame(one: ChainHead, other: ChainHead): boolean {
  return one.epoch === other.epoch && one.next === other.next && equalBytes(one.last, other.last)
}

/** Its body may be damaged: the manifest is what the chain goes on from. */
async function isLastAt(at: Extent, head: ChainHead, segments: SegmentLog): Promise<boolean> {
  const bytes = Buffer.allocUnsafe(at.length)
  const isRead = await segments.read(at, bytes).catch(() => false)
  const scan = isRead ? scanRecord(bytes) : undefined
  if (scan?.is !== 'whole' || !equalBytes(digestOf(scan.frame), head.last)) return false
  const manifest = decodeManifest(scan.frame.envelope.payload)
  return manifest.ok && manifest.value.epoch === head.epoch && manifest.value.seq === head.next - 1
}
