import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../agent/load-config.ts'
import { settings } from '../../agent/settings.ts'
import { Fault } from '../../protocol/fault.ts'
import { base64url } from '../../protocol/ids.ts'
import { sourceOf } from '../kit/capture-ground.ts'
import { configOf, nothing, otherKey, problemsOf, publicKey, valid, withChange } from '../kit/config-text.ts'
import { faultOf } from '../kit/fault-of.ts'

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
      chunks: { maxBytes: 1_048_576, catchUpBytes: 3_670_016, maxAgeMs: 5000 },
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
