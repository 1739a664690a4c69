import type { LinkModel } from './link-model.ts'

/** A cut costs what was sent of one record: it is on its way for no longer than this, even where nothing could be compressed. */
const longestRecordMs = 4000
/** Each record has an envelope and costs two syncs: smaller ones than this are not worth it. */
const leastChunkBytes = 64 * 1024

/** How large chunks are for a link, at most. One of which little is known yet says nothing about them. */
export function chunkBytesFor({ rate, isGrowing }: Pick<LinkModel, 'rate' | 'isGrowing'>): number {
  if (rate === undefined || isGrowing) return Infinity
  return Math.max(leastChunkBytes, Math.floor(rate * longestRecordMs))
}
