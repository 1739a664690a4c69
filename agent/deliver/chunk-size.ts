import type { LinkModel } from './link-model.ts'

/** A cut costs what was sent of one record: it is on its way for no longer than this, even where nothing could be compressed. */
const longestRecordMs = 4000
/** Each record has an envelope and costs two syncs: smaller ones than this are not worth it. */
const leastChunkBytes = 64 * 1024
/** Where much waits, for any link: log lines of so much get through where a slow one is cut every minute. */
const sureCatchUpBytes = 2 * 1024 * 1024
/** More than that, only as much as has been seen to be on its way for no longer than this. */
const longestCatchUpMs = 2000

/** How large chunks are for a link, at most. One of which little is known yet says nothing about them. */
export function chunkBytesFor({ rate, isGrowing }: Pick<LinkModel, 'rate' | 'isGrowing'>): number {
  if (rate === undefined || isGrowing) return Infinity
  return Math.max(leastChunkBytes, Math.floor(rate * longestRecordMs))
}

/** How large chunks are where much waits, at most: for records of more than the usual the link has to have shown its rate. */
export function catchUpBytesFor({ rate = 0 }: Pick<LinkModel, 'rate'>): number {
  return Math.max(sureCatchUpBytes, Math.floor(rate * longestCatchUpMs))
}
