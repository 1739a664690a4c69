import { Type } from 'typebox'
import { limits } from '../protocol/contract.ts'
import { parsePublicKey, publicKeyBytes, type PublicKey } from '../protocol/ed25519-policy.ts'
import { parseBase64url, parseDeviceId, type DeviceId } from '../protocol/ids.ts'
import { count, duration, filePath, oneOf, setting, size, strict, text } from './setting-kinds.ts'
import { sourceSchema, type SourceConfig } from './source-config.ts'
import { showSize } from './units.ts'

/** What the agent runs with: every setting present, checked, and in one unit. */
export interface AgentConfig {
  readonly device: DeviceId
  readonly server: { readonly url: URL; readonly publicKeys: readonly PublicKey[] }
  readonly keyFile: string
  readonly stateDirectory: string
  readonly controlSocket: string
  readonly sources: readonly SourceConfig[]
  readonly chunks: { readonly maxBytes: number; readonly maxAgeMs: number }
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
  }
  readonly shutdownGraceMs: number
  /** How often folders and files are looked at even if nothing was notified. */
  readonly rescanMs: number
}

/** The server's key of a setting, or undefined where it is no usable key. */
export function serverKeyOf(text: string): PublicKey | undefined {
  const bytes = parseBase64url(text, publicKeyBytes)
  return bytes && parsePublicKey(bytes)
}

function isServerUrl(value: string): boolean {
  const url = URL.parse(value)
  if (!url || url.hostname === '' || url.username !== '' || url.password !== '') return false
  return /^https?:$/.test(url.protocol) && !/[?#]/.test(value)
}

/** A group of settings that all have defaults may be left out. */
const group = { ...strict('a map of settings'), default: {} }

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
    server: Type.Object(
      {
        url: text(
          {
            description:
              'Where the ingest server is. `http://` only for a loopback address, or with `allowInsecure`.',
            expected: 'an https:// address without user name, password, query or fragment',
          },
          isServerUrl,
        ),
        publicKey: setting<string | string[]>(
          {
            description:
              'The receipt key of the server, as `logbox-server key` prints it. Only a receipt that it signed lets ' +
              'anything leave the queue. A list while the server changes its key.',
            expected: 'an Ed25519 public key, or a list of them: 43 characters of base64url',
            form: 'list',
          },
          (value) => {
            const keys: unknown[] = [value].flat()
            return keys.length > 0 && keys.every((key) => typeof key === 'string' && serverKeyOf(key))
          },
        ),
        allowInsecure: setting<boolean>(
          {
            description:
              'Allows `http://` to any address. What is sent is signed but not secret: anybody on the way can read it.',
            expected: 'true or false',
            default: false,
            form: 'boolean',
          },
          (value) => typeof value === 'boolean',
        ),
      },
      group,
    ),
    key: filePath('The signing key of this drone, made with `logbox-agent keygen`.'),
    state: filePath(
      'The folder for what must survive a power cut: the queue, and how far each file was read.',
    ),
    control: filePath('The unix socket through which `status` and `flush` talk to the agent.'),
    sources: Type.Array(sourceSchema, { expected: 'a list of at least one source', minItems: 1 }),
    chunks: Type.Object(
      {
        maxBytes: size('A chunk is cut when it holds this much.', {
          from: '4KiB',
          to: showSize(limits.maxChunkBytes),
          default: '1MiB',
        }),
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
          'What stays free on the disk. With less, new records wait, or with `evict` take the place of old ones.',
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
    delivery: Type.Object(
      {
        requestMaxBytes: size('How much one request carries. A record that is larger travels alone.', {
          from: '64KiB',
          to: showSize(limits.maxBatchBytes),
          default: '4MiB',
        }),
        requestTimeout: duration(
          'A request on which nothing moves for this long is given up, and tried again.',
          {
            from: '1s',
            to: '1h',
            default: '30s',
          },
        ),
        retry: Type.Object(
          {
            min: duration(
              'The pause after the first failure; it doubles up to `delivery.retry.max`, with chance.',
              {
                from: '10ms',
                to: '1d',
                default: '500ms',
              },
            ),
            max: duration('The longest pause. At least `delivery.retry.min`.', {
              from: '10ms',
              to: '1d',
              default: '60s',
            }),
          },
          group,
        ),
      },
      group,
    ),
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
