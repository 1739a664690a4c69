import type { ProxyEnv } from 'node:http'
import { dirname, resolve } from 'node:path'
import { Settings as LibrarySettings } from 'typebox/system'
import { Errors } from 'typebox/value'
import { parseDeviceId, type DeviceId } from '../protocol/ids.ts'
import { showText } from '../protocol/show-text.ts'
import type { ChunkLimits } from './capture/chunker.ts'
import { invalid, readConfigFile, showFound, type ConfigFile } from './config-file.ts'
import { readOverrides, type Environment, type OverrideMap, type Overrides } from './config-overrides.ts'
import { settingsSchema, type AgentConfig, type Settings } from './config.ts'
import { isProxy, serverKeyOf, udpAddressOf } from './delivery-settings.ts'
import { agentFault } from './faults.ts'
import { countOf, sizeOf } from './setting-kinds.ts'
import { schemaAt, type SchemaNode } from './settings.ts'
import type { SourceConfig } from './source-config.ts'
import { parseDuration } from './units.ts'

interface Problem {
  readonly path: readonly string[]
  readonly says: string
}

/** Linux has 108 bytes for the path of a unix socket, with the NUL that ends it. */
export const maxSocketPathBytes = 107

/** The file at `path` under the overrides, checked to the last setting. Throws a Fault that names every problem. */
export function loadConfig(path: string, overrides: Overrides): AgentConfig {
  return checkConfig(readConfigFile(path), resolve(dirname(path)), overrides)
}

/** Relative paths in the file and in variables start at `folder`, those in flags where the person is. */
export function checkConfig(file: ConfigFile, folder: string, overrides: Overrides): AgentConfig {
  const given = readOverrides(overrides)
  const value = complete(settingsSchema, file.value, [], given)
  throwIfAny(findProblems(value), file, given)
  const checked = value as Settings
  throwIfAny(findConflicts(checked, folder), file, given)
  return toConfig(checked, folder, overrides.env)
}

/** `value` with the overrides and the defaults put in; what is of a wrong shape stays as it is, to be complained of. */
function complete(
  node: SchemaNode,
  value: unknown,
  path: readonly string[],
  overrides: OverrideMap,
): unknown {
  const override = overrides.get(path.join('.'))
  if (override) return override.value
  const given = value === undefined ? node.default : value
  if (Array.isArray(given)) return given.map((item: unknown) => completeItem(node, item, path, overrides))
  if (!node.properties || !isRecord(given)) return given
  const parts = Object.entries(node.properties).map(([name, child]) => {
    return [name, complete(child, given[name], [...path, name], overrides)] as const
  })
  return { ...given, ...Object.fromEntries(parts.filter(([, part]) => part !== undefined)) }
}

function completeItem(
  list: SchemaNode,
  item: unknown,
  path: readonly string[],
  overrides: OverrideMap,
): unknown {
  return list.items ? complete(list.items, item, [...path, '[]'], overrides) : item
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The library stops at 8 errors by default; a person wants to correct a file once. */
LibrarySettings.Set({ maxErrors: 100 })

function findProblems(value: unknown): readonly Problem[] {
  return Errors(settingsSchema, value).flatMap((error) => {
    const path = fromPointer(error.instancePath)
    switch (error.keyword) {
      case 'required':
        return error.params.requiredProperties.map((name) => missing([...path, name]))
      case 'boolean':
        // Nothing matches the schema `false` of what is not declared.
        return [unknown(path)]
      case 'additionalProperties':
        // The same once more, for all of a map; where there are too many errors, only the ones above come.
        return []
      default:
        return [wrong(path, schemaAt(path)?.expected, valueAt(value, path))]
    }
  })
}

function wrong(path: readonly string[], expected: string | undefined, found: unknown): Problem {
  return { path, says: `expected ${expected}, found ${showFound(found)}` }
}

function missing(path: readonly string[]): Problem {
  return { path, says: `is missing: expected ${schemaAt(path)?.expected}` }
}

function unknown(path: readonly string[]): Problem {
  const names = Object.keys(schemaAt(path.slice(0, -1))?.properties ?? {})
  return { path, says: `unknown setting: expected one of ${names.join(', ')}` }
}

/** The names of a JSON pointer (RFC 6901, section 4). */
function fromPointer(pointer: string): readonly string[] {
  const names = pointer.split('/').slice(1)
  return names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (at as Readonly<Record<string, unknown>>)[name], value)
}

/** What can be wrong only together with something else. */
interface Rule {
  readonly path: readonly string[]
  readonly isMet: (checked: Settings, folder: string) => boolean
  readonly expected: string
}

const rules: readonly Rule[] = [
  {
    path: ['server', 'url'],
    isMet: ({ server }) => server.allowInsecure || isPrivateWay(new URL(server.url)),
    expected: 'https:// (http:// needs a loopback address, or server.allowInsecure: true)',
  },
  {
    path: ['control'],
    isMet: ({ control }, folder) => Buffer.byteLength(resolve(folder, control)) <= maxSocketPathBytes,
    expected: `a path of at most ${maxSocketPathBytes} bytes, its folder included`,
  },
  {
    path: ['queue', 'maxBytes'],
    isMet: ({ queue, chunks }) => bytesOf(queue.maxBytes) >= 2 * chunkLimits(chunks.maxBytes).maxBytes,
    expected: 'at least twice chunks.maxBytes',
  },
  {
    path: ['server', 'clientKey'],
    isMet: ({ server }) => (server.clientKey === undefined) === (server.clientCertificate === undefined),
    expected: 'server.clientCertificate and server.clientKey, both or neither',
  },
  {
    path: ['delivery', 'retry', 'max'],
    isMet: ({ delivery: { retry } }) => msOf(retry.max) >= msOf(retry.min),
    expected: 'at least delivery.retry.min',
  },
]

function findConflicts(checked: Settings, folder: string): readonly Problem[] {
  const broken = rules.filter((rule) => !rule.isMet(checked, folder))
  return broken.map(({ path, expected }) => wrong(path, expected, valueAt(checked, path)))
}

function isPrivateWay(url: URL): boolean {
  return url.protocol === 'https:' || staysHere(url)
}

/** In clear text to this machine: no proxy may see it. */
function staysHere({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(hostname)
}

function throwIfAny(problems: readonly Problem[], file: ConfigFile, overrides: OverrideMap): void {
  if (problems.length === 0) return
  const inFlags = problems.filter(({ path }) => overrides.get(path.join('.'))?.isFlag)
  const lines = (inFlags.length > 0 ? inFlags : problems).map((problem) => toLine(problem, file, overrides))
  throw inFlags.length > 0 ? agentFault('USAGE', lines.join('\n')) : invalid(lines)
}

function toLine({ path, says }: Problem, file: ConfigFile, overrides: OverrideMap): string {
  const override = overrides.get(path.join('.'))
  if (override) return `${override.name}: ${says}`
  return [file.where(path), ...(path.length > 0 ? [showPath(path)] : []), says].join(': ')
}

/** "sources[0].paths" */
function showPath(path: readonly string[]): string {
  const steps = path.map((name) => (/^\d+$/.test(name) ? `[${name}]` : `.${showText(name).slice(0, 80)}`))
  return steps.join('').replace(/^\./, '')
}

function toConfig(checked: Settings, folder: string, env: Environment): AgentConfig {
  const { server, chunks, capture, queue, delivery } = checked
  return {
    device: deviceOf(checked.device),
    server: toServer(server, folder, env),
    keyFile: resolve(folder, checked.key),
    stateDirectory: resolve(folder, checked.state),
    controlSocket: resolve(folder, checked.control),
    sources: checked.sources.map(toSource),
    chunks: { ...chunkLimits(chunks.maxBytes), maxAgeMs: msOf(chunks.maxAge) },
    capture: { maxOpenFiles: sure(countOf(capture.maxOpenFiles)) },
    queue: {
      maxBytes: bytesOf(queue.maxBytes),
      minFree: bytesOf(queue.minFree),
      whenFull: queue.whenFull,
    },
    delivery: toDelivery(delivery, folder),
    shutdownGraceMs: msOf(checked.shutdownGrace),
    rescanMs: msOf(checked.rescanInterval),
  }
}

function toServer(server: Settings['server'], folder: string, env: Environment): AgentConfig['server'] {
  const { url, publicKey, ca, clientCertificate, clientKey, proxy } = server
  const pathOf = (path: string): string => resolve(folder, path)
  return {
    url: new URL(url),
    publicKeys: [publicKey].flat().map(keyOf),
    ca: ca === undefined ? undefined : pathOf(ca),
    client:
      clientCertificate === undefined || clientKey === undefined
        ? undefined
        : { certificate: pathOf(clientCertificate), key: pathOf(clientKey) },
    proxy: staysHere(new URL(url)) ? {} : toProxy(proxy, new URL(url), env),
  }
}

/** As Node reads them: the first that is set counts. What it cannot use it would pass over, and go without a proxy. */
function toProxy(proxy: string | undefined, server: URL, env: Environment): ProxyEnv {
  if (proxy === 'none') return {}
  if (proxy !== undefined) return { HTTPS_PROXY: proxy, HTTP_PROXY: proxy }
  const found = firstSet(env, server.protocol === 'https:' ? 'https_proxy' : 'http_proxy')
  if (!found) return {}
  const [name, value] = found
  if (!isProxy(value))
    throw invalid([`${name}: expected http://HOST:PORT or https://HOST:PORT, found ${showFound(value)}`])
  return Object.fromEntries([found, firstSet(env, 'no_proxy')].filter((entry) => entry !== undefined))
}

function firstSet(env: Environment, name: string): readonly [string, string] | undefined {
  return [name, name.toUpperCase()].flatMap((each) => (env[each] ? [[each, env[each]] as const] : []))[0]
}

function toDelivery(delivery: Settings['delivery'], folder: string): AgentConfig['delivery'] {
  const { requestMaxBytes, requestTimeout, retry, rateLimit, gate } = delivery
  return {
    requestMaxBytes: bytesOf(requestMaxBytes),
    requestTimeoutMs: msOf(requestTimeout),
    retry: { minMs: msOf(retry.min), maxMs: msOf(retry.max) },
    rateLimit: rateLimit === undefined ? undefined : bytesOf(rateLimit),
    gate: {
      file: gate.file === undefined ? undefined : resolve(folder, gate.file),
      command: gate.command,
      mavlink: gate.mavlink === undefined ? undefined : udpAddressOf(gate.mavlink),
    },
  }
}

function toSource(source: Settings['sources'][number]): SourceConfig {
  const { paths, exclude, format, tags, priority, startAt, ignoreOlder, closeAfter } = source
  const ignoreOlderMs = ignoreOlder === 'never' ? undefined : msOf(ignoreOlder)
  const times = { ignoreOlderMs, closeAfterMs: msOf(closeAfter) }
  return { paths, exclude, format, tags: new Map(Object.entries(tags)), priority, startAt, ...times }
}

const mebibyte = 1024 * 1024
/** Larger ones cost less CPU, but two of them are in memory: more would not leave its peak where docs/performance.md wants it. */
const catchUpBytes = 3.5 * mebibyte

function chunkLimits(maxBytes: string | number | undefined): ChunkLimits {
  if (maxBytes === undefined) return { maxBytes: mebibyte, catchUpBytes }
  return { maxBytes: bytesOf(maxBytes), catchUpBytes: bytesOf(maxBytes) }
}

const deviceOf = (text: string): DeviceId => sure(parseDeviceId(text))
const keyOf = (text: string) => sure(serverKeyOf(text))
const bytesOf = (value: unknown): number => sure(sizeOf(value))
const msOf = (text: string): number => sure(parseDuration(text))

/** What was checked parses; anything else is a bug. */
function sure<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a checked setting does not parse')
  return value
}
