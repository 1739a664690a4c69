import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { parseConfigFile } from '../../agent/config-file.ts'
import type { Overrides } from '../../agent/config-overrides.ts'
import type { AgentConfig } from '../../agent/config.ts'
import { checkConfig, loadConfig } from '../../agent/load-config.ts'
import { settings } from '../../agent/settings.ts'
import { Fault } from '../../protocol/fault.ts'
import { base64url } from '../../protocol/ids.ts'
import { sourceOf } from '../kit/capture-ground.ts'

/** The public key of RFC 8032, section 7.1, test 1. */
const publicKey = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
const otherKey = 'PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw'

const valid = `device: mylittledrone
server:
  url: https://logs.example.org
  publicKey: ${publicKey}
key: device.key
state: /var/lib/logbox
control: /run/logbox/agent.sock
sources:
  - paths: ['/var/log/flight/*.log']
`

const nothing: Overrides = { env: {}, flags: new Map() }

function configOf(text: string | Uint8Array, overrides: Partial<Overrides> = {}): AgentConfig {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return checkConfig(parseConfigFile('agent.yaml', bytes), '/etc/logbox', { ...nothing, ...overrides })
}

function faultOf(act: () => unknown): Fault {
  try {
    act()
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('there was no fault')
}

/** The lines of the fault that this text gives. */
function problemsOf(text: string | Uint8Array, overrides: Partial<Overrides> = {}): string[] {
  const fault = faultOf(() => configOf(text, overrides))
  expect(fault.code).toBe('CONFIG_INVALID')
  return fault.message.split('\n')
}

describe('a file with what must be given', () => {
  test('has the documented defaults for the rest', () => {
    const { device, server, sources, ...rest } = configOf(valid)
    expect([device, server.url.href]).toEqual(['mylittledrone', 'https://logs.example.org/'])
    expect(server.publicKeys.map((key) => base64url(key.bytes))).toEqual([publicKey])
    const exclude = ['*.gz', '*.zst', '*.xz', '*.bz2', '*.tmp', '*.swp']
    expect(sources).toEqual([sourceOf(['/var/log/flight/*.log'], { exclude, closeAfterMs: 60_000 })])
    expect(rest).toEqual({
      keyFile: '/etc/logbox/device.key',
      stateDirectory: '/var/lib/logbox',
      controlSocket: '/run/logbox/agent.sock',
      chunks: { maxBytes: 1_048_576, catchUpBytes: 2_097_152, maxAgeMs: 5000 },
      capture: { maxOpenFiles: 256 },
      queue: { maxBytes: 2_147_483_648, minFree: 67_108_864, whenFull: 'pause' },
      delivery: {
        requestMaxBytes: 4_194_304,
        requestTimeoutMs: 30_000,
        retry: { minMs: 500, maxMs: 60_000 },
        rateLimit: undefined,
        gate: { file: undefined, command: undefined, mavlink: undefined },
      },
      shutdownGraceMs: 3000,
      rescanMs: 10_000,
    })
  })

  test('may set each of them', () => {
    const config = configOf(
      valid.replace(publicKey, `[${publicKey}, ${otherKey}]`) +
        `    exclude: []
    format: binary
    tags: { vehicle: hexa-7, "n": "7" }
    priority: high
    startAt: end
    ignoreOlder: 30d
    closeAfter: 1s
chunks: { maxBytes: 4096, maxAge: 10ms }
capture: { maxOpenFiles: 8 }
queue: { maxBytes: 1TiB, whenFull: pause }
delivery: { requestMaxBytes: 64KiB, requestTimeout: 1s, retry: { min: 10ms, max: 10ms } }
shutdownGrace: 0s
rescanInterval: 100ms
`,
    )
    const { sources, server, ...rest } = config
    expect(server.publicKeys.map((key) => base64url(key.bytes))).toEqual([publicKey, otherKey])
    expect(sources[0]).toMatchObject({ exclude: [], format: 'binary', priority: 'high', startAt: 'end' })
    expect(sources[0]).toMatchObject({ ignoreOlderMs: 30 * 86_400_000, closeAfterMs: 1000 })
    expect(sources[0]?.tags).toEqual(
      new Map([
        ['vehicle', 'hexa-7'],
        ['n', '7'],
      ]),
    )
    expect(rest).toMatchObject({
      chunks: { maxBytes: 4096, maxAgeMs: 10 },
      capture: { maxOpenFiles: 8 },
      queue: { maxBytes: 2 ** 40 },
      delivery: { requestMaxBytes: 65_536, requestTimeoutMs: 1000, retry: { minMs: 10, maxMs: 10 } },
      shutdownGraceMs: 0,
      rescanMs: 100,
    })
  })

  test('may use anchors', () => {
    const both = configOf(`${valid}    tags: &t { a: b }\n  - { paths: ['/a'], tags: *t }\n`)
    expect(both.sources.map((source) => source.tags)).toEqual([new Map([['a', 'b']]), new Map([['a', 'b']])])
  })
})

/** The valid file with one more line, which is its tenth. */
const withLine = (line: string): string => `${valid}${line}\n`
/** The valid file with one of its lines replaced. */
const withChange = (from: string | RegExp, to: string): string => valid.replace(from, to)

describe('a wrong setting is named with line, column, what was expected and what was found', () => {
  test.each([
    [
      withChange('mylittledrone', 'My Drone'),
      "agent.yaml:1:1: device: expected 1 to 64 of a-z 0-9 . _ -, found 'My Drone'",
    ],
    [
      withChange('mylittledrone', '..'),
      "agent.yaml:1:1: device: expected 1 to 64 of a-z 0-9 . _ -, found '..'",
    ],
    [
      withChange(/device.*/, 'divice: a'),
      'agent.yaml:1:1: divice: unknown setting: expected one of device, server, ',
    ],
    [
      withChange(/ {2}publicKey.*/, '  publickey: x'),
      'agent.yaml:4:3: server.publickey: unknown setting: expected one of url, ',
    ],
    [
      withChange(/ {2}publicKey.*\n/, ''),
      'agent.yaml:2:1: server.publicKey: is missing: expected an Ed25519 public key',
    ],
    [withChange(publicKey, 'AAAA'), 'agent.yaml:4:3: server.publicKey: expected an Ed25519 public key'],
    [withChange(publicKey, '[]'), 'agent.yaml:4:3: server.publicKey: expected an Ed25519 public key'],
    [
      withChange(publicKey, `[${publicKey}, 7]`),
      'agent.yaml:4:3: server.publicKey: expected an Ed25519 public key',
    ],
    // The neutral point: of order 1.
    [
      withChange(publicKey, 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
      'agent.yaml:4:3: server.publicKey: expected',
    ],
    [
      withChange('https://logs.example.org', 'logs.example.org'),
      'agent.yaml:3:3: server.url: expected an https:// address',
    ],
    [
      withChange('https://logs.example.org', 'ftp://a'),
      'agent.yaml:3:3: server.url: expected an https:// address',
    ],
    [
      withChange('example.org', 'example.org/?a=b'),
      'agent.yaml:3:3: server.url: expected an https:// address',
    ],
    [withChange('example.org', 'example.org/#'), 'agent.yaml:3:3: server.url: expected an https:// address'],
    [
      withChange('https:', 'http:'),
      'agent.yaml:3:3: server.url: expected https:// (http:// needs a loopback address',
    ],
    [withChange(/key: device.*/, 'key: 12'), 'agent.yaml:5:1: key: expected a path, found 12'],
    [withChange(/key: device.*/, 'key: ""'), "agent.yaml:5:1: key: expected a path, found ''"],
    [
      withChange(/control: .*/, `control: ${'a'.repeat(120)}`),
      'agent.yaml:7:1: control: expected a path of at most 107 bytes',
    ],
    [
      withChange(/sources:[^]*/, 'sources: []'),
      'agent.yaml:8:1: sources: expected a list of at least one source, found []',
    ],
    [
      withChange(/sources:[^]*/, 'sources: /var/log'),
      'agent.yaml:8:1: sources: expected a list of at least one source, found',
    ],
    [
      withChange(/paths:.*/, '/var/log/a.log'),
      "agent.yaml:9:5: sources[0]: expected a source: a map with paths, found '/var/log/a.log'",
    ],
    [
      withChange(/paths:.*/, 'format: text'),
      'agent.yaml:9:5: sources[0].paths: is missing: expected a list of absolute globs',
    ],
    [
      withChange(/paths:.*/, 'paths: []'),
      'agent.yaml:9:5: sources[0].paths: expected a list of absolute globs',
    ],
    [
      withChange('/var/log', 'var/log'),
      'agent.yaml:9:5: sources[0].paths: expected a list of absolute globs',
    ],
    [
      withChange('/var/log', '/var/../log'),
      'agent.yaml:9:5: sources[0].paths: expected a list of absolute globs',
    ],
    [withChange('*.log', ''), 'agent.yaml:9:5: sources[0].paths: expected a list of absolute globs'],
    [
      withLine('    format: json'),
      "agent.yaml:10:5: sources[0].format: expected text or binary, found 'json'",
    ],
    [
      withLine('    exclude: "*.gz"'),
      "agent.yaml:10:5: sources[0].exclude: expected a list of globs, found '*.gz'",
    ],
    [withLine('    exclude: [""]'), 'agent.yaml:10:5: sources[0].exclude: expected a list of globs'],
    [withLine('    startAt: middle'), 'agent.yaml:10:5: sources[0].startAt: expected beginning or end'],
    [withLine('    ignoreOlder: -1d'), 'agent.yaml:10:5: sources[0].ignoreOlder: expected'],
    [withLine('    ignoreOlder: yesterday'), 'agent.yaml:10:5: sources[0].ignoreOlder: expected'],
    [
      withLine('    tags: { a: 7 }'),
      'agent.yaml:10:5: sources[0].tags: expected a map of names of 1 to 64 bytes to texts',
    ],
    [withLine('    tags: [a]'), 'agent.yaml:10:5: sources[0].tags: expected a map of names'],
    [
      withLine(`    tags: { a: ${'b'.repeat(1024)} }`),
      'agent.yaml:10:5: sources[0].tags: expected a map of names',
    ],
    [
      withLine(`    tags: { ${'a'.repeat(65)}: b }`),
      'agent.yaml:10:5: sources[0].tags: expected a map of names',
    ],
    [withLine('    tags: { a: "\\ud800" }'), 'agent.yaml:10:5: sources[0].tags: expected a map of names'],
    [
      withLine('chunks: { maxBytes: 1KiB }'),
      "agent.yaml:10:11: chunks.maxBytes: expected a size from 4KiB to 8MiB, found '1KiB'",
    ],
    [
      withLine('chunks: { maxBytes: 9MiB }'),
      'agent.yaml:10:11: chunks.maxBytes: expected a size from 4KiB to 8MiB',
    ],
    [withLine('chunks: { maxBytes: 5000.5 }'), 'agent.yaml:10:11: chunks.maxBytes: expected a size'],
    [
      withLine('chunks: { maxAge: 5 }'),
      'agent.yaml:10:11: chunks.maxAge: expected a duration from 10ms to 1d, found 5',
    ],
    [withLine('chunks: []'), 'agent.yaml:10:1: chunks: expected a map of settings, found []'],
    [withLine('chunks:'), 'agent.yaml:10:1: chunks: expected a map of settings, found nothing'],
    [
      withLine('queue: { maxBytes: 1MiB }'),
      "agent.yaml:10:10: queue.maxBytes: expected at least twice chunks.maxBytes, found '1MiB'",
    ],
    [
      withLine('queue: { whenFull: drop }'),
      "agent.yaml:10:10: queue.whenFull: expected pause or evict, found 'drop'",
    ],
    [
      withLine('delivery: { requestMaxBytes: 63KiB }'),
      'agent.yaml:10:13: delivery.requestMaxBytes: expected a size from 64KiB to 16MiB',
    ],
    [
      withLine('delivery: { requestMaxBytes: 17MiB }'),
      'agent.yaml:10:13: delivery.requestMaxBytes: expected a size from 64KiB to 16MiB',
    ],
    [
      withLine('delivery: { requestTimeout: 999ms }'),
      'agent.yaml:10:13: delivery.requestTimeout: expected a duration from 1s to 1h',
    ],
    [
      withLine('delivery:\n  retry:\n    min: 1ms'),
      'agent.yaml:12:5: delivery.retry.min: expected a duration from 10ms to 1d',
    ],
    [
      withLine('delivery: { retry: { min: 2s, max: 1s } }'),
      'agent.yaml:10:31: delivery.retry.max: expected at least delivery.retry.min',
    ],
    [
      withLine('shutdownGrace: 2h'),
      "agent.yaml:10:1: shutdownGrace: expected a duration from 0s to 1h, found '2h'",
    ],
    [
      withLine('rescanInterval: 1ms'),
      'agent.yaml:10:1: rescanInterval: expected a duration from 100ms to 1h',
    ],
    [withLine('<<: { a: b }'), 'agent.yaml:10:1: <<: unknown setting'],
    [withLine('__proto__: { a: b }'), 'agent.yaml:10:1: __proto__: unknown setting'],
    [withLine('"\\e[2J": 1'), 'agent.yaml:10:1: \\x1b[2J: unknown setting'],
  ])('%#', (text, line) => {
    const problems = problemsOf(text)
    expect(problems.filter((problem) => problem.startsWith(line))).toHaveLength(1)
  })

  test('all of them at once, a line each', () => {
    const problems = problemsOf(`${withChange('mylittledrone', 'A')}queue: 1\nfoo: 2\nshutdownGrace: 3\n`)
    const lines = problems.map((problem) => problem.split(':')[1])
    expect(new Set(lines)).toEqual(new Set(['1', '10', '11', '12']))
    expect(lines).toHaveLength(4)
  })

  test('but not thousands', () => {
    const many = Array.from({ length: 5000 }, (_, index) => `x${index}: 1`)
    expect(problemsOf(valid + many.join('\n')).length).toBeLessThanOrEqual(21)
  })

  test('and the password of a URL is not shown', () => {
    const [problem] = problemsOf(withChange('logs.example', 'user:secret@logs.example'))
    expect(problem).toContain('server.url')
    expect(problem).not.toContain('secret')
  })
})

describe('what is no configuration at all', () => {
  test.each([
    ['', 'agent.yaml:1:1: expected a map of settings, found nothing'],
    ['# nothing\n', 'agent.yaml:1:1: expected a map of settings, found nothing'],
    ['- a\n', "agent.yaml:1:1: expected a map of settings, found [ 'a' ]"],
    ['text', "agent.yaml:1:1: expected a map of settings, found 'text'"],
    [withLine('device: again'), 'agent.yaml:10:1: this setting stands twice in its map'],
    [withLine('a: [1, 2'), 'agent.yaml:11:1: not YAML: '],
    [withLine('\ta: 1'), 'agent.yaml:10:1: not YAML: '],
    [withLine('a: *missing'), 'agent.yaml: Unresolved alias'],
    [withLine('a: !!js/function x'), 'agent.yaml:10:4: not YAML: Unresolved tag'],
    [withLine('---\na: 1'), 'agent.yaml:10:1: not YAML: Source contains multiple documents'],
    ['['.repeat(100_000), 'agent.yaml'],
    ['{a: '.repeat(50_000), 'agent.yaml'],
    ['a'.repeat(300_000), 'agent.yaml is larger than 256KiB'],
  ])('%#', (text, line) => {
    expect(problemsOf(text)[0]).toMatch(new RegExp(`^${RegExp.escape(line)}`))
  })

  test('bytes that are not UTF-8', () => {
    expect(problemsOf(Uint8Array.of(0xff, 0xfe, 0x41, 0))).toEqual(['agent.yaml is not UTF-8 text'])
  })

  test('aliases that unfold into millions', () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      const items =
        level === 0
          ? 'x'
          : Array(9)
              .fill(`*a${level - 1}`)
              .join(', ')
      return `a${level}: &a${level} [${items}]`
    })
    expect(problemsOf(levels.join('\n'))[0]).toMatch(/^agent.yaml: Excessive alias count/)
  })
})

describe('http:// without TLS', () => {
  test.each(['http://127.0.0.1:8443', 'http://127.9.9.9', 'http://localhost:1', 'http://[::1]:8443/base'])(
    'may go to %s',
    (url) => {
      expect(configOf(withChange('https://logs.example.org', url)).server.url.protocol).toBe('http:')
    },
  )

  test.each(['http://128.0.0.1', 'http://localhost.example.org', 'http://[::2]', 'http://127.0.0.1.nip.io'])(
    'may not go to %s',
    (url) => {
      expect(problemsOf(withChange('https://logs.example.org', url))[0]).toContain('server.url')
    },
  )

  test('may go anywhere when it is allowed', () => {
    const text = withChange('https://logs.example.org', 'http://logs.example.org\n  allowInsecure: true')
    expect(configOf(text).server.url.href).toBe('http://logs.example.org/')
  })
})

const bySetting: Readonly<Record<string, string>> = {
  device: 'other',
  'server.url': 'https://other.example.org',
  'server.publicKey': `${otherKey}, ${publicKey}`,
  'server.allowInsecure': 'true',
  'server.ca': '/ca.pem',
  'server.clientCertificate': '/client.pem',
  'server.clientKey': '/client.key',
  'server.proxy': 'http://proxy.example.org:3128',
  key: '/other.key',
  state: '/other',
  control: '/other.sock',
  'chunks.maxBytes': '2MiB',
  'chunks.maxAge': '1s',
  'capture.maxOpenFiles': '300',
  'queue.maxBytes': '3GiB',
  'queue.minFree': '1GiB',
  'queue.whenFull': 'evict',
  'delivery.requestMaxBytes': '1MiB',
  'delivery.requestTimeout': '1m',
  'delivery.retry.min': '1s',
  'delivery.retry.max': '2s',
  'delivery.rateLimit': '64KiB',
  'delivery.gate.file': '/run/armed',
  'delivery.gate.command': 'true',
  'delivery.gate.mavlink': '127.0.0.1:14550',
  shutdownGrace: '1s',
  rescanInterval: '1s',
}

const valuesBy = (name: 'variable' | 'flag') =>
  settings.map((setting) => [setting[name], bySetting[setting.path.join('.')] ?? ''] as const)

describe('a variable or a flag', () => {
  test('exists for each setting outside of the sources', () => {
    expect(settings.map(({ path }) => path.join('.'))).toEqual(Object.keys(bySetting))
    const chunks = settings.find(({ path }) => path.join('.') === 'chunks.maxBytes')
    expect(chunks).toMatchObject({ variable: 'LOGBOX_CHUNKS_MAX_BYTES', flag: 'chunks-max-bytes' })
  })

  test('gives what the file would give', () => {
    const onlySources = 'sources: [{ paths: [/a] }]'
    const fromEnv = configOf(onlySources, { env: Object.fromEntries(valuesBy('variable')) })
    const fromFlags = configOf(onlySources, { flags: new Map(valuesBy('flag')) })
    expect(JSON.stringify(fromEnv)).toBe(JSON.stringify(fromFlags))
    expect(fromEnv).toMatchObject({
      device: 'other',
      keyFile: '/other.key',
      chunks: { maxBytes: 2_097_152, catchUpBytes: 2_097_152, maxAgeMs: 1000 },
      delivery: {
        retry: { minMs: 1000, maxMs: 2000 },
        rateLimit: 65_536,
        gate: { file: '/run/armed', command: 'true', mavlink: { host: '127.0.0.1', port: 14_550 } },
      },
      server: {
        ca: '/ca.pem',
        client: { certificate: '/client.pem', key: '/client.key' },
        proxy: { HTTPS_PROXY: 'http://proxy.example.org:3128' },
      },
    })
    expect(fromEnv.server.publicKeys.map((key) => base64url(key.bytes))).toEqual([otherKey, publicKey])
  })

  test.each(['127.0.0.1', 'localhost', '[::1]'])('of a proxy counts, but not for http:// to %s', (host) => {
    const proxy = 'http://proxy.example.org:3128'
    const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy }
    const here = withChange('https://logs.example.org', `http://${host}:8443`)
    expect(configOf(here, { env }).server.proxy).toEqual({})
    const there = withChange('https://logs.example.org', `https://${host}:8443`)
    expect(configOf(there, { env }).server.proxy).toEqual({ HTTPS_PROXY: proxy })
    const far = withChange('https://logs.example.org', 'http://logs.example.org\n  allowInsecure: true')
    expect(configOf(far, { env }).server.proxy).toEqual({ HTTP_PROXY: proxy })
  })

  test('is obeyed as the proxy of other programs is, but not where it is none that can be used', () => {
    const proxyOf = (env: Record<string, string>) => configOf(valid, { env }).server.proxy
    const usable = { HTTPS_PROXY: 'http://10.0.0.1:3128', NO_PROXY: 'localhost' }
    expect(proxyOf({ ...usable, HTTP_PROXY: 'http://[' })).toEqual(usable)
    expect(proxyOf({ NO_PROXY: 'localhost', HTTPS_PROXY: '' })).toEqual({})
    for (const proxy of ['10.0.0.1:3128', 'socks5://10.0.0.1:3128', 'http://[']) {
      expect(problemsOf(valid, { env: { ...usable, https_proxy: proxy } })).toEqual([
        expect.stringMatching(/^https_proxy: expected http:\/\/HOST:PORT, found /),
      ])
    }
    const secret = problemsOf(valid, { env: { HTTPS_PROXY: 'socks5://who:secret@10.0.0.1' } })
    expect(secret.join()).not.toContain('secret')
  })

  test('wins over the file, and the flag over the variable', () => {
    const file = withLine('shutdownGrace: 1s')
    const env = { LOGBOX_SHUTDOWN_GRACE: '2s' }
    expect(configOf(file).shutdownGraceMs).toBe(1000)
    expect(configOf(file, { env }).shutdownGraceMs).toBe(2000)
    expect(configOf(file, { env, flags: new Map([['shutdown-grace', '3s']]) }).shutdownGraceMs).toBe(3000)
  })

  test('that is wrong is named, not the file', () => {
    const env = { LOGBOX_CHUNKS_MAX_BYTES: '3', LOGBOX_SERVER_ALLOW_INSECURE: 'maybe' }
    expect(problemsOf(valid, { env }).toSorted()).toEqual([
      "LOGBOX_CHUNKS_MAX_BYTES: expected a size from 4KiB to 8MiB, found '3'",
      "LOGBOX_SERVER_ALLOW_INSECURE: expected true or false, found 'maybe'",
    ])
    const fault = faultOf(() => configOf(valid, { env, flags: new Map([['chunks-max-age', '5']]) }))
    expect([fault.code, fault.kind.exit]).toEqual(['USAGE', 64])
    expect(fault.message).toBe("--chunks-max-age: expected a duration from 10ms to 1d, found '5'")
  })

  test('that is empty counts as none, but an empty flag does not', () => {
    expect(configOf(valid, { env: { LOGBOX_DEVICE: '' } }).device).toBe('mylittledrone')
    expect(faultOf(() => configOf(valid, { flags: new Map([['device', '']]) })).code).toBe('USAGE')
    expect(faultOf(() => configOf(valid, { flags: new Map([['key', '']]) })).code).toBe('USAGE')
  })

  test('that is misspelt is refused, one of somebody else is not', () => {
    const env = { LOGBOX_CHUNKS_MAXBYTES: '1MiB', LOGBOX_DEBUG: '1', LOGBOX_BINARY: 'x' }
    expect(problemsOf(valid, { env })).toEqual(["'LOGBOX_CHUNKS_MAXBYTES' is no setting"])
  })

  test('with a relative path: a variable starts at the file, a flag where the person is', () => {
    expect(configOf(valid, { env: { LOGBOX_STATE: 'x' } }).stateDirectory).toBe('/etc/logbox/x')
    expect(configOf(valid, { flags: new Map([['state', 'x']]) }).stateDirectory).toBe(resolve('x'))
  })
})

/** What this file makes the agent throw. */
function errorOf(bytes: Uint8Array): unknown {
  try {
    return void configOf(bytes)
  } catch (error) {
    return error
  }
}

describe('whatever stands in the file', () => {
  const words = [
    'device',
    'server',
    'sources',
    'paths',
    'tags',
    'chunks',
    'maxBytes',
    ': ',
    '- ',
    '\n',
    '  ',
    '{',
    '}',
  ]
  const yamlish = fc.array(
    fc.oneof(fc.constantFrom(...words, '&a', '*a', '[', ']', '!', '|', '"', '?', ','), fc.string()),
  )

  test('there is a configuration or a Fault', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          yamlish.map((parts) => Buffer.from(parts.join(''))),
          fc.tuple(fc.nat(valid.length), yamlish).map(([at, parts]) => {
            return Buffer.from(valid.slice(0, at) + parts.join('') + valid.slice(at))
          }),
          fc.uint8Array({ maxLength: 200 }),
        ),
        (bytes) => {
          expect(errorOf(bytes)).toSatisfy((error) => error === undefined || error instanceof Fault)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('and whatever JSON value a setting has', () => {
    fc.assert(
      fc.property(fc.constantFrom(...settings), fc.jsonValue({ maxDepth: 3 }), ({ path }, value) => {
        const nested = path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
        expect(() => configOf(JSON.stringify(nested))).toThrow(Fault)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a file that cannot be read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'logbox-config-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('because it is not there', () => {
    const fault = faultOf(() => loadConfig(join(folder, 'none.yaml'), nothing))
    expect([fault.code, fault.kind.exit]).toEqual(['CONFIG_MISSING', 66])
    expect(fault.message).toContain(join(folder, 'none.yaml'))
  })

  test('because it is a folder', () => {
    mkdirSync(join(folder, 'a.yaml'))
    const fault = faultOf(() => loadConfig(join(folder, 'a.yaml'), nothing))
    expect([fault.kind.exit, fault.message]).toEqual([66, `${join(folder, 'a.yaml')} is a folder`])
  })

  test.skipIf(process.getuid?.() === 0)('because the user may not', () => {
    writeFileSync(join(folder, 'secret.yaml'), valid, { mode: 0o000 })
    expect(faultOf(() => loadConfig(join(folder, 'secret.yaml'), nothing)).kind.exit).toBe(77)
  })

  test('is told from one that can, whose relative paths start at its folder', () => {
    writeFileSync(join(folder, 'good.yaml'), valid)
    expect(loadConfig(join(folder, 'good.yaml'), nothing).keyFile).toBe(join(folder, 'device.key'))
  })
})
