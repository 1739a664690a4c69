import type { ProxyEnv } from 'node:http'
import { Type } from 'typebox'
import { limits } from '../protocol/contract.ts'
import type { PublicKey } from '../protocol/ed25519-policy.ts'
import { parseDeviceId, type DeviceId } from '../protocol/ids.ts'
import { deliverySettings, serverSettings, type GateConfig } from './delivery-settings.ts'
import { count, duration, filePath, group, oneOf, optionalSize, size, strict, text } from './setting-kinds.ts'
import { sourceSchema, type SourceConfig } from './source-config.ts'
import { showSize } from './units.ts'

/** What the agent runs with: every setting present, checked, and in one unit. */
export interface AgentConfig {
  readonly device: DeviceId
  readonly server: {
    readonly url: URL
    readonly publicKeys: readonly PublicKey[]
    /** Paths of PEM files. */
    readonly ca: string | undefined
    readonly client: { readonly certificate: string; readonly key: string } | undefined
    /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
    readonly proxy: ProxyEnv
  }
  readonly keyFile: string
  readonly stateDirectory: string
  readonly controlSocket: string
  readonly sources: readonly SourceConfig[]
  readonly chunks: {
    readonly maxBytes: number
    /** Where that much waits in a file, a chunk may be as large. */
    readonly catchUpBytes: number
    readonly maxAgeMs: number
  }
  readonly capture: { readonly maxOpenFiles: number }
  readonly queue: {
    readonly maxBytes: number
    readonly minFree: number
    readonly whenFull: 'pause' | 'evict'
  }
  readonly delivery: {
    readonly requestMaxBytes: number
    readonly requestTimeoutMs: number
    readonly retry: { readonly minMs: number; readonly maxMs: number }
    /** Bytes a second. */
    readonly rateLimit: number | undefined
    readonly gate: GateConfig
  }
  readonly shutdownGraceMs: number
  /** How often folders and files are looked at even if nothing was notified. */
  readonly rescanMs: number
}

/**
 * Every setting, once. Validation, environment variables, flags, `--help` and docs/configuration.md come from here.
 * A setting without a default must be given.
 */
export const settingsSchema = Type.Object(
  {
    device: text(
      { description: 'The name of this drone.', expected: '1 to 64 of a-z 0-9 . _ -' },
      (value) => parseDeviceId(value) !== undefined,
    ),
    server: serverSettings,
    key: filePath('The signing key of this drone, made with `logbox-agent keygen`.'),
    state: filePath(
      'The folder for what must survive a power cut: the queue, and how far each file was read.',
    ),
    control: filePath('The unix socket through which `status` and `flush` talk to the agent.'),
    sources: Type.Array(sourceSchema, { expected: 'a list of at least one source', minItems: 1 }),
    chunks: Type.Object(
      {
        maxBytes: optionalSize(
          'A chunk is cut when it holds this much. Without it that is 1MiB, and where so much waits in a file 2MiB, or up to ' +
            '3.5MiB while the link is fast: each chunk costs the processor the same, whatever its size.',
          { from: '4KiB', to: showSize(limits.maxChunkBytes) },
        ),
        maxAge: duration('A chunk is cut when its first byte was read this long ago.', {
          from: '10ms',
          to: '1d',
          default: '5s',
        }),
      },
      group,
    ),
    capture: Type.Object(
      {
        maxOpenFiles: count('How many log files are held open at once. More can be followed.', {
          from: 8,
          to: 65_536,
          default: 256,
        }),
      },
      group,
    ),
    queue: Type.Object(
      {
        maxBytes: size('How much may wait on the drone. At least twice `chunks.maxBytes`.', {
          from: '8KiB',
          to: '16TiB',
          default: '2GiB',
        }),
        minFree: size(
          'What stays free on the disk, beside a reserve of up to 32 MiB that lets the agent deliver when others fill the disk. With less, new ' +
            'records wait, or with `evict` take the place of old ones.',
          { from: '0', to: '16TiB', default: '64MiB' },
        ),
        whenFull: oneOf(
          ['pause', 'evict'],
          '`pause`: bytes wait in their files until there is room. `evict`: the oldest records of the lowest lane lose ' +
            'their bodies. What says what was lost, signed, is still delivered, and `files` names it.',
        ),
      },
      group,
    ),
    delivery: deliverySettings,
    shutdownGrace: duration(
      'How long delivery may go on after SIGTERM. What it does not finish stays queued.',
      {
        from: '0s',
        to: '1h',
        default: '3s',
      },
    ),
    rescanInterval: duration('How often folders and files are looked at even if nothing was notified.', {
      from: '100ms',
      to: '1h',
      default: '10s',
    }),
  },
  strict('a map of settings'),
)

/** What a file, variables and flags say together, once checked. */
export type Settings = Type.Static<typeof settingsSchema>
