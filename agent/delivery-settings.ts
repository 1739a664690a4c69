import { isIP } from 'node:net'
import { Type } from 'typebox'
import { limits } from '../protocol/contract.ts'
import { parsePublicKey, publicKeyBytes, type PublicKey } from '../protocol/ed25519-policy.ts'
import { parseBase64url } from '../protocol/ids.ts'
import {
  duration,
  group,
  optionalPath,
  optionalSize,
  optionalText,
  setting,
  size,
  text,
} from './setting-kinds.ts'
import { showSize } from './units.ts'

/** What may hold delivery back; none of it need be there. */
export interface GateConfig {
  readonly file: string | undefined
  readonly command: string | undefined
  readonly mavlink: UdpAddress | undefined
}

export interface UdpAddress {
  readonly host: string
  readonly port: number
}

/** "127.0.0.1:14550" or "[::1]:14550" */
export function udpAddressOf(text: string): UdpAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  return isIP(host) !== 0 && port >= 1 && port <= 65_535 ? { host, port } : undefined
}

/** "http://10.0.0.1:3128", or "none". */
export function isProxy(value: string): boolean {
  const url = URL.parse(value)
  return value === 'none' || (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '')
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

/** Where the server is, and whom to believe on the way. */
export const serverSettings = Type.Object(
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
    ca: optionalPath(
      'The authorities that the certificate of the server is checked against, as a PEM file; without it those of ' +
        'the system and of Node.',
    ),
    clientCertificate: optionalPath(
      'The certificate by which this drone names itself to whoever ends TLS in front of the server, as a PEM file.',
    ),
    clientKey: optionalPath('The key of `server.clientCertificate`, as a PEM file.'),
    proxy: optionalText(
      'The proxy on the way to the server. Without it `HTTPS_PROXY` (or `HTTP_PROXY`) and `NO_PROXY` of the ' +
        'environment count; `none`: those neither. What goes to a loopback address by `http://` uses none.',
      'http://HOST:PORT, https://HOST:PORT or none',
      isProxy,
    ),
  },
  group,
)

/** How much, how fast, and when. */
export const deliverySettings = Type.Object(
  {
    requestMaxBytes: size('How much one request carries. A record that is larger travels alone.', {
      from: '64KiB',
      to: showSize(limits.maxBatchBytes),
      default: '4MiB',
    }),
    requestTimeout: duration('A request on which nothing moves for this long is given up, and tried again.', {
      from: '1s',
      to: '1h',
      default: '30s',
    }),
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
    rateLimit: optionalSize('Bytes a second that requests may carry, at most.', {
      from: '256',
      to: '1GiB',
    }),
    gate: Type.Object(
      {
        file: optionalPath('While this file is there, nothing is delivered.'),
        command: optionalText(
          'Delivery waits unless this command, run by `/bin/sh` every 5 s while there is something to deliver, ends ' +
            'with status 0 within 5 s.',
          'a command',
          (value) => value.trim() !== '' && !value.includes('\0'),
        ),
        mavlink: optionalText(
          'Where MAVLink heartbeats of the autopilot arrive over UDP. While it is armed, nothing is delivered.',
          'an address and a port, such as 127.0.0.1:14550',
          (value) => udpAddressOf(value) !== undefined,
        ),
      },
      group,
    ),
  },
  group,
)
