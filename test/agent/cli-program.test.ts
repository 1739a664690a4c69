import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { barLine, bytesPerSecond, observe, type Progress } from '../../agent/cli/flush-progress.ts'
import { errorText } from '../../agent/cli/exit-status.ts'
import { runProgram } from '../../agent/cli/program.ts'
import type { Terminal } from '../../agent/cli/terminal.ts'
import type { FlushReport, StatusReport } from '../../agent/control/report.ts'

const folder = mkdtempSync(join(tmpdir(), 'logbox-program-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A terminal that remembers what it was shown. */
class FakeTerminal implements Terminal {
  readonly env: Readonly<Record<string, string>>
  readonly hasColor: boolean
  readonly canRedraw: boolean
  stdout = ''
  stderr = ''
  #ms = 0

  constructor({ env = {}, isScreen = false }: { env?: Record<string, string>; isScreen?: boolean } = {}) {
    this.env = env
    this.hasColor = isScreen
    this.canRedraw = isScreen
  }

  print(text: string): void {
    this.stdout += text
  }

  tell(text: string): void {
    this.stderr += text
  }

  columns(): number {
    return 80
  }

  /** A second goes by between two looks. */
  nowMs(): number {
    return (this.#ms += 1000)
  }

  handOver(): void {
    throw new Error('nobody asked for a configuration')
  }
}

async function run(args: readonly string[], terminal = new FakeTerminal()) {
  const status = await runProgram(args, terminal)
  return { status, stdout: terminal.stdout, stderr: terminal.stderr }
}

const screen = (): FakeTerminal => new FakeTerminal({ isScreen: true })
const escape = '\u001b'

/** What an agent answers to each path. */
type Answers = Readonly<Record<string, (answer: ServerResponse) => void>>

let sockets = 0

/** Something that answers on a control socket as an agent would, or would not. */
async function fakeAgent(answers: Answers): Promise<AsyncDisposable & { readonly socket: string }> {
  const socket = join(folder, `${sockets++}.sock`)
  const server = createServer((asked, answer) => {
    const [path = ''] = (asked.url ?? '').split('?')
    const reply = answers[`${asked.method} ${path}`]
    if (reply) reply(answer)
    else answer.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    socket,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

const report: FlushReport = {
  done: false,
  targetBytes: 4_194_304,
  receiptedBytes: 0,
  queuedBytes: 2_097_152,
  unreadBytes: 2_097_152,
  lostBytes: 0,
  queuedRecords: 2,
  link: { is: 'sending', records: 2, bytes: 2_097_152 },
}
const half: FlushReport = {
  ...report,
  receiptedBytes: 2_097_152,
  queuedBytes: 1_048_576,
  unreadBytes: 1_048_576,
}
const done: FlushReport = { ...report, done: true, receiptedBytes: 4_194_304, queuedBytes: 0, unreadBytes: 0 }
const given: FlushReport = {
  ...half,
  remaining: [
    { path: `/var/log/a${escape}[2J.log`, queuedBytes: 1_048_576, unreadBytes: 0, trouble: '' },
    { path: '/var/log/b.log', queuedBytes: 0, unreadBytes: 1_048_576, trouble: 'EIO: i/o error, read' },
  ],
}

const flushing = (...reports: readonly FlushReport[]): Answers => ({
  'POST /flush': (answer) => answer.end(reports.map((line) => `${JSON.stringify(line)}\n`).join('')),
})

describe('flush', () => {
  test('that is done says that power may go off', async () => {
    await using agent = await fakeAgent(flushing(report, half, done))
    const { status, stdout, stderr } = await run(['flush', '--control', agent.socket])
    expect([status, stdout]).toEqual([0, 'safe to power off: 4.0 MiB have receipts\n'])
    expect(stderr).toBe(
      '0%  0 B of 4.0 MiB  2 chunks queued\n' +
        '100%  4.0 MiB of 4.0 MiB  2 chunks queued  2.0 MiB/s  0s left\n',
    )
  })

  test('on a terminal draws one line again and again', async () => {
    await using agent = await fakeAgent(flushing(report, half, done))
    const { stderr } = await run(['flush', '--control', agent.socket], screen())
    expect(stderr.split('\r')).toEqual([
      '',
      `[------------------------] 0%  0 B of 4.0 MiB  2 chunks queued${escape}[K`,
      `[############------------] 50%  2.0 MiB of 4.0 MiB  2 chunks queued  2.0 MiB/s ${escape}[K`,
      `[########################] 100%  4.0 MiB of 4.0 MiB  2 chunks queued  2.0 MiB/s${escape}[K\n`,
    ])
  })

  test('whose time is up says what remains, by file', async () => {
    await using agent = await fakeAgent(flushing(report, given))
    const { status, stdout, stderr } = await run(['flush', '--control', agent.socket, '--timeout', '1s'])
    expect(status).toBe(75)
    expect(stdout.split('\n')).toEqual([
      'not delivered: 1.0 MiB in the queue, 1.0 MiB only in their files',
      '  /var/log/a\\x1b[2J.log: 1.0 MiB queued, 0 B unread',
      '  /var/log/b.log: 0 B queued, 1.0 MiB unread: EIO: i/o error, read',
      '',
    ])
    expect(stderr).toMatch(/\nlogbox-agent: not everything has receipts yet: [^\n]*\n$/)
  })

  test('with --json prints each report as it came', async () => {
    await using agent = await fakeAgent(flushing(report, half, done))
    const { status, stdout, stderr } = await run(['flush', '--control', agent.socket, '--json'], screen())
    expect([status, stderr]).toEqual([0, ''])
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as FlushReport)).toEqual([report, half, done])
  })

  test('tells the agent how long it may take', async () => {
    const asked: string[] = []
    await using agent = await fakeAgent({
      'POST /flush': (answer) => {
        asked.push(answer.req.url ?? '')
        answer.end(`${JSON.stringify(done)}\n`)
      },
    })
    await run(['flush', '--control', agent.socket])
    await run(['flush', '--control', agent.socket, '--timeout', '1500ms'])
    expect(asked).toEqual(['/flush?timeoutMs=60000', '/flush?timeoutMs=1500'])
  })

  test('of an agent that dies in the middle of a line says so', async () => {
    await using agent = await fakeAgent({
      'POST /flush': (answer) => {
        answer.write(`${JSON.stringify(report)}\n${JSON.stringify(done).slice(0, 40)}`, () =>
          answer.destroy(),
        )
      },
    })
    const { status, stdout, stderr } = await run(['flush', '--control', agent.socket])
    expect([status, stdout]).toEqual([69, ''])
    expect(stderr).toContain(
      'logbox-agent: the agent went away before it had answered: what was queued is safe',
    )
  })

  test('of an agent that ends without a result is not done', async () => {
    await using agent = await fakeAgent(flushing(report, half))
    expect(await run(['flush', '--control', agent.socket])).toMatchObject({ status: 69, stdout: '' })
  })

  test('names bytes that were lost before', async () => {
    await using agent = await fakeAgent(flushing({ ...done, lostBytes: 1024 }))
    const { stdout } = await run(['flush', '--control', agent.socket])
    expect(stdout).toContain('1.0 KiB were lost before, and are recorded as lost')
  })

  test.each(['soon', '5', '2d', ''])('with --timeout "%s" is a usage error', async (timeout) => {
    const { status, stderr } = await run(['flush', '--control', '/none', `--timeout=${timeout}`])
    expect([status, stderr]).toEqual([
      64,
      expect.stringContaining('--timeout: expected a duration from 0s to 1d'),
    ])
  })
})

const at = (seconds: number, leftBytes: number, before?: Progress): Progress =>
  observe(before, { ...report, queuedBytes: leftBytes, unreadBytes: 0 }, seconds * 1000)

describe('the progress of a flush', () => {
  test('has a rate after a second, over the last few', () => {
    const first = at(0, 100_000)
    expect(bytesPerSecond(first)).toBeUndefined()
    expect(bytesPerSecond(at(0.9, 90_000, first))).toBeUndefined()
    expect(bytesPerSecond(at(2, 80_000, first))).toBe(10_000)
    expect(bytesPerSecond(at(21, 60_000, at(20, 70_000, first)))).toBe(10_000)
  })

  test('does not go back because the log grows', () => {
    const grown = at(2, 200_000, at(0, 100_000))
    expect(bytesPerSecond(grown)).toBe(0)
    expect(barLine(report, grown, 200)).toContain(' 0%  0 B of 97.7 KiB')
  })

  test('says why the link waits instead of a rate', () => {
    const link = {
      is: 'waiting',
      why: `no route${escape}[2J`,
      because: 'retry',
      attempts: 3,
      retryInMs: 12_000,
    } as const
    expect(barLine({ ...report, link }, at(0, 1024), 200)).toMatch(
      /link waiting: no route\\x1b\[2J \(attempt 3 failed, next in 12s\)$/,
    )
  })

  test.each([0, 1, 20, 40, 80, 400])('is shorter than a terminal of %i columns', (columns) => {
    expect(barLine(report, at(0, 1024), columns).length).toBeLessThanOrEqual(Math.max(0, columns - 1))
  })
})

const statusReport: StatusReport = {
  version: '0.1.0',
  device: 'drone',
  epoch: 7,
  server: 'https://logs.example.org/',
  link: {
    is: 'waiting',
    why: '200 with a page\nof somebody',
    because: 'retry',
    attempts: 4,
    retryInMs: 12_000,
  },
  queue: {
    records: 1,
    bytes: 3_355_443,
    maxBytes: 2_147_483_648,
    state: { is: 'blocked', why: 'ENOSPC' },
    setAside: [{ seq: 12, path: '/var/log/x.log', why: 'RECORD_TOO_LARGE' }],
    setAsideRecords: 3,
  },
  watch: { is: 'rescanning', why: 'raise the sysctl' },
  files: [
    {
      path: `/var/log/a${escape}[31m.log`,
      stream: 's',
      state: 'reading',
      size: 4096,
      readBytes: 2048,
      queuedBytes: 1024,
      receiptedBytes: 1024,
      lostBytes: 0,
      trouble: 'EACCES',
    },
  ],
  totals: { files: 1, size: 4096, readBytes: 2048, queuedBytes: 1024, receiptedBytes: 1024, lostBytes: 0 },
}

const telling = (value: unknown): Answers => ({
  'GET /status': (answer) => answer.end(typeof value === 'string' ? value : JSON.stringify(value)),
})

describe('status', () => {
  test('tells link, queue, files and troubles, on lines of their own', async () => {
    await using agent = await fakeAgent(telling(statusReport))
    const { status, stdout, stderr } = await run(['status', '--control', agent.socket])
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toBe(`device     drone, epoch 7, logbox-agent 0.1.0
server     https://logs.example.org/
link       waiting: 200 with a page\\x0aof somebody (attempt 4 failed, next in 12s)
queue      1 chunk, 3.2 MiB of 2.0 GiB
           the disk refuses, bytes wait in their files: ENOSPC
set aside  record 12 of /var/log/x.log: RECORD_TOO_LARGE
           and 2 other records
watch      raise the sysctl
files      1, 4.0 KiB; 1.0 KiB have receipts; 1.0 KiB queued; 2.0 KiB unread; 0 B lost

        size        read      queued   receipted        lost  file
     4.0 KiB     2.0 KiB     1.0 KiB     1.0 KiB         0 B  /var/log/a\\x1b[31m.log
                                                                EACCES
`)
  })

  test('has colour where the terminal has', async () => {
    await using agent = await fakeAgent(telling(statusReport))
    const { stdout } = await run(['status', '--control', agent.socket], screen())
    expect(stdout).toContain(`link       ${escape}[33mwaiting: 200`)
  })

  test('with --json prints the report as it is', async () => {
    await using agent = await fakeAgent(telling(statusReport))
    const { stdout } = await run(['status', '--control', agent.socket, '--json'], screen())
    expect(JSON.parse(stdout)).toEqual(statusReport)
    expect(stdout.indexOf('\n')).toBe(stdout.length - 1)
  })

  test.each([
    ['a page', '<html>'],
    ['nothing', ''],
    ['null', 'null'],
    ['another object', { files: [] }],
  ])('of what answers with %s is refused', async (_, answer) => {
    await using agent = await fakeAgent(telling(answer))
    const { status, stderr } = await run(['status', '--control', agent.socket])
    expect([status, stderr]).toEqual([74, expect.stringMatching(/^logbox-agent: what answers at [^\n]*\n$/)])
  })

  test('of what does not know the request is refused', async () => {
    await using agent = await fakeAgent({})
    const { status, stderr } = await run(['status', '--control', agent.socket])
    expect([status, stderr]).toEqual([74, expect.stringContaining('answers 404 to GET /status')])
  })
})

describe('the control socket', () => {
  const config = join(folder, 'agent.yaml')
  const key = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
  const server = `server: { url: 'https://logs.example.org', publicKey: ${key} }`
  const write = (control: string): void =>
    writeFileSync(
      config,
      `device: d\n${server}\nkey: k\nstate: s\ncontrol: ${control}\nsources: [{ paths: [/a] }]\n`,
    )

  test('stands in the configuration, in a variable or in a flag', async () => {
    await using agent = await fakeAgent(telling(statusReport))
    write(agent.socket)
    expect(await run(['status', '--config', config])).toMatchObject({ status: 0 })
    write('elsewhere.sock')
    const terminal = new FakeTerminal({ env: { LOGBOX_CONTROL: agent.socket } })
    expect(await run(['status', '--config', config], terminal)).toMatchObject({ status: 0 })
    expect(await run(['status', '--config', config, '--control', agent.socket])).toMatchObject({ status: 0 })
  })

  test('that nobody made, or whose agent was killed, means that no agent is running', async () => {
    write('none.sock')
    writeFileSync(join(folder, 'stale.sock'), '')
    for (const socket of ['none.sock', 'stale.sock']) {
      const { status, stderr } = await run(['status', '--config', config, '--control', join(folder, socket)])
      expect([status, stderr]).toEqual([69, expect.stringContaining('no agent is running at')])
    }
  })

  test('has to be told', async () => {
    expect(await run(['flush'])).toMatchObject({ status: 64 })
    expect(await run(['status', '--control', 'a'.repeat(120)])).toMatchObject({ status: 64 })
  })

  test('is not looked for under a wrong configuration', async () => {
    write('a.sock\nfoo: 1')
    const { status, stderr } = await run(['status', '--config', config])
    expect(status).toBe(78)
    expect(stderr).toMatch(
      /agent.yaml:6:1: foo: unknown setting: expected one of .*: see "logbox-agent run --help"\n$/,
    )
  })
})

describe('an error of the command line', () => {
  test.each([
    ['no command', [], 'name a command'],
    ['an unknown command', ['fly'], 'Unknown argument: fly'],
    ['an unknown command with control characters', [`fly${escape}[2J`], 'Unknown argument: fly\\x1b[2J'],
    [
      'an unknown flag of run',
      ['run', '--config', 'a', '--chunks-maxbytes', '1'],
      'Unknown argument: chunks-maxbytes',
    ],
    ['a flag without its value', ['run', '--config'], 'Not enough arguments following: config'],
    ['run without a configuration', ['run'], 'Missing required argument: config'],
    ['keygen without a file', ['keygen'], 'Missing required argument: out'],
    ['keygen with an empty file name', ['keygen', '--out', ''], '--out: expected a path'],
    ['a word too many', ['keygen', '--out', join(folder, 'never'), 'more'], 'Unknown argument: more'],
  ])('is one line and 64: %s', async (_, args, says) => {
    const { status, stdout, stderr } = await run(args)
    expect([status, stdout]).toEqual([64, ''])
    expect(stderr).toMatch(/^logbox-agent: [^\n]*: see "logbox-agent --help"\n$/)
    expect(stderr).toContain(says)
  })

  test('has a line for each problem of a configuration, each of them whole', async () => {
    const config = join(folder, 'bad.yaml')
    writeFileSync(config, 'device: A\n')
    const { status, stderr } = await run(['run', '--config', config])
    expect(status).toBe(78)
    const lines = stderr.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(3)
    for (const line of lines)
      expect(line).toMatch(/^logbox-agent: .*bad.yaml:1:1: .*: see "logbox-agent run --help"$/)
  })

  test('has a stack and its causes with LOGBOX_DEBUG=1 only', async () => {
    const terminal = new FakeTerminal({ env: { LOGBOX_DEBUG: '1' } })
    const { stderr } = await run(['status', '--control', join(folder, 'none')], terminal)
    expect(stderr).toMatch(/^logbox-agent: no agent .*\nFault: .*\n +at /)
    expect(stderr).toContain('caused by Error: connect ENOENT')
  })

  test('that nobody expected is called a bug', () => {
    const text = errorText(new TypeError(`a\n${escape}[2J`), new FakeTerminal())
    expect(text).toBe(
      'logbox-agent: a bug: TypeError: a\\x0a\\x1b[2J: report it, with what LOGBOX_DEBUG=1 prints\n',
    )
    expect(errorText(undefined, new FakeTerminal())).toMatch(/^logbox-agent: a bug: undefined/)
  })
})

test('keygen prints what to do next, and never the key', async () => {
  const file = join(folder, 'person.key')
  const { status, stdout } = await run(['keygen', '--out', file])
  expect(status).toBe(0)
  expect(stdout).toMatch(
    /^public key {3}[\w-]{43}\nfingerprint {2}[\w-]{43}\nfile {9}\/.*\nnext {9}logbox-server device add/,
  )
  const secret = readFileSync(file, 'utf8').split('\n')[1] ?? ''
  expect(stdout).not.toContain(secret.slice(-20))
})
