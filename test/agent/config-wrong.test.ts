import { describe, expect, test } from 'vitest'
import { problemsOf, publicKey, valid, withChange, withLine } from '../kit/config-text.ts'

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
