import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { settings } from '../../agent/settings.ts'
import { base64url } from '../../protocol/ids.ts'
import { configOf, otherKey, problemsOf, publicKey, valid, withChange, withLine } from '../kit/config-text.ts'
import { faultOf } from '../kit/fault-of.ts'

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

const proxyOf = (env: Record<string, string>) => configOf(valid, { env }).server.proxy

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
    const usable = { HTTPS_PROXY: 'http://10.0.0.1:3128', NO_PROXY: 'localhost' }
    expect(proxyOf({ ...usable, HTTP_PROXY: 'http://[' })).toEqual(usable)
    expect(proxyOf({ NO_PROXY: 'localhost', HTTPS_PROXY: '' })).toEqual({})
    for (const proxy of ['10.0.0.1:3128', 'socks5://10.0.0.1:3128', 'http://[']) {
      expect(problemsOf(valid, { env: { ...usable, https_proxy: proxy } })).toEqual([
        expect.stringMatching(/^https_proxy: expected http:\/\/HOST:PORT or https:\/\/HOST:PORT, found /),
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

  test.each([
    ['LOGBOX_CHUNKS_MAXBYTES', 'LOGBOX_CHUNKS_MAX_BYTES'],
    ['LOGBOX_CHUNK_MAX_BYTES', 'LOGBOX_CHUNKS_MAX_BYTES'],
    ['LOGBOX_CAPTURE_OPEN_FILES', 'LOGBOX_CAPTURE_MAX_OPEN_FILES'],
    ['LOGBOX_CAPTURE_ANYTHING', 'LOGBOX_CAPTURE_MAX_OPEN_FILES'],
    ['LOGBOX_QUEUE_MINFREE', 'LOGBOX_QUEUE_MIN_FREE'],
    ['LOGBOX_QUEU_MAXBYTES', 'LOGBOX_QUEUE_MAX_BYTES'],
    ['LOGBOX_DELIVERY_RATELIMIT', 'LOGBOX_DELIVERY_RATE_LIMIT'],
    ['LOGBOX_RESCAN', 'LOGBOX_RESCAN_INTERVAL'],
    ['LOGBOX_RESCAN_INTERVALL', 'LOGBOX_RESCAN_INTERVAL'],
    ['LOGBOX_SHUTDOWNGRACE', 'LOGBOX_SHUTDOWN_GRACE'],
    ['LOGBOX_SEVER_URL', 'LOGBOX_SERVER_URL'],
    ['LOGBOX_SERVER_PUBLICKEY', 'LOGBOX_SERVER_PUBLIC_KEY'],
    ['LOGBOX_SERVER_ALOWINSECURE', 'LOGBOX_SERVER_ALLOW_INSECURE'],
  ])('that is misspelt as %s is refused, and the nearest is named', (name, nearest) => {
    expect(problemsOf(valid, { env: { [name]: '1' } })).toEqual([
      `'${name}' is no setting: the nearest is ${nearest}`,
    ])
  })

  test.each([
    ['the program', 'DEBUG ONE_PROCESS SEED TEST_PROGRAMS TEST_RATE MAKE_PAGES BENCH_NAMESPACE'],
    ['a script', 'AGENT BIN BINARY DATA DEV FILE KEY_FILE KEYS LOG_FILE STATE_DIR TIMEOUT URL CONTROLS'],
    ['the server', 'SERVER SERVER_DATA SERVER_DB SERVER_HOST SERVER_ID SERVER_IP SERVER_KEY SERVER_PORT'],
    ['what is before the server', 'SERVER_QA SERVER_UID SERVER_PUBLIC_IP SERVER_PUBLIC_URL'],
    ['a container host', 'PORT SERVICE_HOST CONTROL_SERVICE_HOST CONTROL_PORT SERVER_PORT_8443_TCP'],
    ['a service that has the name of a group', 'QUEUE_PORT QUEUE_PORT_80_TCP_ADDR DELIVERY_SERVICE_HOST'],
    ['several of its ports', 'QUEUE_SERVICE_PORT QUEUE_SERVICE_PORT_HTTP QUEUE_NAME QUEUE_ENV_HOME'],
  ])('of %s is not refused', (_, names) => {
    const env = Object.fromEntries(names.split(' ').map((name) => [`LOGBOX_${name}`, '1']))
    expect(configOf(valid, { env })).toEqual(configOf(valid))
  })

  test('that is misspelt and empty counts as none', () => {
    expect(configOf(valid, { env: { LOGBOX_CHUNKS_MAXBYTES: '' } })).toEqual(configOf(valid))
  })

  test('with a relative path: a variable starts at the file, a flag where the person is', () => {
    expect(configOf(valid, { env: { LOGBOX_STATE: 'x' } }).stateDirectory).toBe('/etc/logbox/x')
    expect(configOf(valid, { flags: new Map([['state', 'x']]) }).stateDirectory).toBe(resolve('x'))
  })
})
