import { showText } from '../../protocol/show-text.ts'
import type { LinkReport } from '../control/report.ts'
import { roughDuration, roughSize } from '../units.ts'

/** What delivery is doing, in words. */
export function linkWords(link: LinkReport): string {
  return link.notice === undefined ? stateWords(link) : `${stateWords(link)}; ${showText(link.notice)}`
}

/** Whether a person should look at it. */
export function isTrouble(link: LinkReport): boolean {
  return link.is === 'waiting' || link.notice !== undefined
}

function stateWords(link: LinkReport): string {
  switch (link.is) {
    case 'idle':
      return 'idle, nothing waits'
    case 'sending':
      return `sending ${countOf(link.records, 'chunk')}, ${roughSize(link.bytes)}${limitWords(link.rateLimit)}`
    case 'held':
      return `held back: ${showText(link.why)}`
    case 'waiting':
      return `${becauseWords[link.because]}: ${showText(link.why)} (attempt ${link.attempts} failed, next in ${roughDuration(link.retryInMs)})`
  }
}

const becauseWords = {
  retry: 'waiting',
  smaller: 'waiting',
  portal: 'waiting, nobody of ours answers',
  person: 'waiting for somebody to act',
} as const

function limitWords(rateLimit: number | undefined): string {
  return rateLimit === undefined ? '' : `, at most ${roughSize(rateLimit)}/s`
}

/** "1 chunk", "2 chunks" */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
