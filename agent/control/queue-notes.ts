import type { Queue } from '../queue/queue.ts'

/** What a person should know of the queue that its numbers do not say. */
export function queueNotes({ ledger, missing, movedAside }: Queue): string[] {
  const { evictedRecords } = ledger
  const notes: string[] = []
  if (evictedRecords > 0)
    notes.push(
      `${evictedRecords} of its records gave up their bodies; their envelopes still go, or the bytes from their files`,
    )
  if (missing > 0)
    notes.push(
      `${missing} records were lost from the disk; what they held was read again, or is named as lost`,
    )
  if (movedAside !== undefined)
    notes.push(`its index was damaged and made anew; the old one is ${movedAside}`)
  return notes
}
