import { showText } from '../../protocol/show-text.ts'
import type { LinkReport } from '../control/report.ts'
import { roughDuration, roughSize } from '../units.ts'

/** What delivery is doing, in words. */
export function linkWords(link: LinkReport): string {
  switch (link.is) {
    case 'idle':
      return 'idle, nothing waits'
    case 'sending':
      return `sending ${countOf(link.records, 'chunk')}, ${roughSize(link.bytes)}`
    case 'waiting':
      return `waiting: ${showText(link.why)} (attempt ${link.attempts} failed, next in ${roughDuration(link.retryInMs)})`
  }
}

/** "1 chunk", "2 chunks" */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
