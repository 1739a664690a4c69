import { readCapabilities, type Capabilities } from '../../protocol/capabilities.ts'
import type { Answer } from './link.ts'

/** What came for the question what the server takes. */
export type TermsRead =
  | { readonly is: 'terms'; readonly capabilities: Capabilities }
  /** Nothing that a server of ours says. */
  | { readonly is: 'nothing'; readonly why: string }

export function readTerms(answer: Answer): TermsRead {
  if (answer.is === 'cut') return nothing(answer.why)
  const { status, mediaType, body } = answer
  if (status !== 200) return nothing(`status ${status}`)
  const said = readCapabilities(body)
  return said.ok ? { is: 'terms', capabilities: said.capabilities } : nothing(refusals[said.why](mediaType))
}

const nothing = (why: string): TermsRead => ({ is: 'nothing', why })

const refusals = {
  malformed: (mediaType: string) => `nothing of a server of ours (${mediaType})`,
  otherVersion: () => 'a server that does not speak the version of this agent',
  tooLittle: () => 'less than every server has to take',
} as const
