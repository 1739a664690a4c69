import { parsePublicKey, publicKeyBytes, type PublicKey } from '../protocol/ed25519-policy.ts'
import { base64url, parseBase64url } from '../protocol/ids.ts'
import type { AgentConfig } from './config.ts'
import type { SourceConfig } from './source-config.ts'

/** A configuration as JSON: what is not JSON in it stands as text or as a list. */
type Packed = Omit<AgentConfig, 'server' | 'sources'> & {
  readonly server: Omit<AgentConfig['server'], 'url' | 'publicKeys'> & PackedServer
  readonly sources: readonly (Omit<SourceConfig, 'tags'> & { readonly tags: readonly [string, string][] })[]
}

interface PackedServer {
  readonly url: string
  readonly publicKeys: readonly string[]
}

/** A checked configuration as text, for another process of this program. */
export function packConfig(config: AgentConfig): string {
  const { url, publicKeys } = config.server
  const packed: Packed = {
    ...config,
    server: {
      ...config.server,
      url: url.href,
      publicKeys: publicKeys.map(({ bytes }) => base64url(bytes)),
    },
    sources: config.sources.map((source) => ({ ...source, tags: [...source.tags] })),
  }
  return JSON.stringify(packed)
}

/** The configuration that `packConfig` was given. It was checked there, and is not checked again. */
export function unpackConfig(text: string): AgentConfig {
  const packed = JSON.parse(text) as Packed
  const { url, publicKeys } = packed.server
  return {
    ...packed,
    server: { ...packed.server, url: new URL(url), publicKeys: publicKeys.map(keyOf) },
    sources: packed.sources.map(sourceOf),
  }
}

function sourceOf(packed: Packed['sources'][number]): SourceConfig {
  return { ...packed, tags: new Map(packed.tags) }
}

function keyOf(text: string): PublicKey {
  const bytes = parseBase64url(text, publicKeyBytes)
  const key = bytes && parsePublicKey(bytes)
  if (!key) throw new Error('a checked key does not parse')
  return key
}
