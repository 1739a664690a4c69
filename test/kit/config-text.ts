import { expect } from 'vitest'
import { parseConfigFile } from '../../agent/config-file.ts'
import type { Overrides } from '../../agent/config-overrides.ts'
import type { AgentConfig } from '../../agent/config.ts'
import { checkConfig } from '../../agent/load-config.ts'
import { faultOf } from './fault-of.ts'

/** The public key of RFC 8032, section 7.1, test 1. */
export const publicKey = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
export const otherKey = 'PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw'

/** A configuration with what must be given, in nine lines. */
export const valid = `device: mylittledrone
server:
  url: https://logs.example.org
  publicKey: ${publicKey}
key: device.key
state: /var/lib/logbox
control: /run/logbox/agent.sock
sources:
  - paths: ['/var/log/flight/*.log']
`

/** No variable and no flag. */
export const nothing: Overrides = { env: {}, flags: new Map() }

/** What the agent makes of this text, as /etc/logbox/agent.yaml. */
export function configOf(text: string | Uint8Array, overrides: Partial<Overrides> = {}): AgentConfig {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return checkConfig(parseConfigFile('agent.yaml', bytes), '/etc/logbox', { ...nothing, ...overrides })
}

/** The lines of the fault that this text gives. */
export function problemsOf(text: string | Uint8Array, overrides: Partial<Overrides> = {}): string[] {
  const fault = faultOf(() => configOf(text, overrides))
  expect(fault.code).toBe('CONFIG_INVALID')
  return fault.message.split('\n')
}

/** The valid file with one more line, which is its tenth. */
export const withLine = (line: string): string => `${valid}${line}\n`
/** The valid file with one of its lines replaced. */
export const withChange = (from: string | RegExp, to: string): string => valid.replace(from, to)
