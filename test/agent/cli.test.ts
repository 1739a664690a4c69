import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import pkg from '../../package.json' with { type: 'json' }
import { askUntil } from '../kit/ask-until.ts'
import { publicKey } from '../kit/config-text.ts'

const main = join(import.meta.dirname, '../../agent/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'logbox-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

const environment = { PATH: '/usr/bin', HOME: folder }

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the agent's program as a shell would, to its end. */
function agent(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...environment, ...env }, cwd: folder }
    const child = execFile(process.execPath, [main, ...args], options, (_error, stdout, stderr) => {
      resolve({ status: child.exitCode, stdout, stderr })
    })
  })
}

function configFile(name: string, lines = ''): string {
  const path = join(folder, `${name}.yaml`)
  const settings = {
    device: 'drone',
    server: { url: 'http://127.0.0.1:9', publicKey },
    key: `${name}.key`,
    state: `${name}-state`,
    control: `${name}.sock`,
    sources: [{ paths: [join(folder, `${name}-*.log`)] }],
  }
  writeFileSync(
    path,
    `${Object.entries(settings)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
      .join('')}${lines}`,
  )
  return path
}

const escapeCharacter = '\u001b'

describe.concurrent('help', () => {
  test.for(['', 'keygen', 'run', 'flush', 'status'])(
    'of "%s" has an example',
    async (command, { expect }) => {
      const { status, stdout, stderr } = await agent([...command.split(' ').filter(Boolean), '--help'])
      expect([status, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(new RegExp(`Examples:\n  logbox-agent ${command}.*--`))
      expect(stdout).not.toContain(escapeCharacter)
    },
  )

  test('is not needed to learn the version', async ({ expect }) => {
    expect(await agent(['--version'])).toEqual({ status: 0, stdout: `${pkg.version}\n`, stderr: '' })
  })
})

describe.concurrent('an error is one line with the exit status of the contract', () => {
  const config = configFile('errors')
  const invalid = configFile('invalid', 'chunks: { maxBytes: 1KiB }\n')
  const cases: [string, string[], number, string][] = [
    ['an unknown flag', ['status', '--config', config, '--bogus'], 64, 'Unknown argument: bogus'],
    ['a missing configuration', ['run', '--config', join(folder, 'none.yaml')], 66, 'no configuration at'],
    ['a missing key', ['run', '--config', config], 66, 'run "logbox-agent keygen --out FILE"'],
    [
      'an invalid configuration',
      ['run', '--config', invalid],
      78,
      'invalid.yaml:7:11: chunks.maxBytes: expected',
    ],
    ['no agent', ['flush', '--config', config], 69, 'no agent is running at'],
  ]
  test.for(cases)('%s', async ([, args, status, says], { expect }) => {
    const ended = await agent(args)
    expect(ended).toMatchObject({ status, stdout: '' })
    expect(ended.stderr).toMatch(/^logbox-agent: [^\n]*\n$/)
    expect(ended.stderr).toContain(says)
  })
})

describe.concurrent('keygen', () => {
  test('makes a private file and prints its public half', async ({ expect }) => {
    const file = join(folder, 'new.key')
    const { status, stdout, stderr } = await agent(['keygen', '--out', 'new.key', '--json'])
    const facts = JSON.parse(stdout) as Record<string, string>
    expect([status, stderr]).toEqual([0, ''])
    expect(Object.keys(facts)).toEqual(['publicKey', 'fingerprint', 'file'])
    expect(facts['publicKey']).toMatch(/^[\w-]{43}$/)
    expect(facts['fingerprint']).toMatch(/^[\w-]{43}$/)
    expect(facts['file']).toBe(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('refuses to overwrite', async ({ expect }) => {
    writeFileSync(join(folder, 'old.key'), 'old')
    const { status, stderr } = await agent(['keygen', '--out', 'old.key'])
    expect(status).toBe(77)
    expect(stderr).toMatch(/^logbox-agent: \S*old.key exists: a key is never overwritten.*\n$/)
    expect(readFileSync(join(folder, 'old.key'), 'utf8')).toBe('old')
  })

  test('does not mind a reader that has gone', async ({ expect }) => {
    const child = spawn(process.execPath, [main, 'keygen', '--out', 'quiet.key'], {
      env: environment,
      cwd: folder,
    })
    child.stdout.destroy()
    const complaints = child.stderr.toArray()
    const [status] = (await once(child, 'close')) as [number]
    expect([status, (await complaints).join('')]).toEqual([0, ''])
  })

  test.skipIf(process.platform !== 'linux')('says that the output was lost', async ({ expect }) => {
    const command = `exec ${process.execPath} ${main} keygen --out full.key > /dev/full`
    const child = spawn('/bin/sh', ['-c', command], { env: environment, cwd: folder })
    const complaints = child.stderr.toArray()
    const [status] = (await once(child, 'close')) as [number]
    expect(status).toBe(74)
    expect((await complaints).join('')).toMatch(/^logbox-agent: cannot write the output \(ENOSPC\).*\n$/)
  })
})

describe('run', () => {
  test.for([{}, { LOGBOX_ONE_PROCESS: '1' }])(
    'says what is wrong once, with one status, in one process or two: %o',
    async (env) => {
      const ended = await agent(['run', '--config', join(folder, 'none.yaml')], env)
      expect([ended.status, ended.stdout, ended.stderr.split('\n')]).toEqual([
        66,
        '',
        [expect.stringContaining('no configuration at') as string, ''],
      ])
    },
  )

  test('answers status and flush, ends at SIGTERM with 0, and at once at a second one', async () => {
    const config = configFile(
      'running',
      'shutdownGrace: 1h\nrescanInterval: 100ms\nchunks: { maxAge: 10ms }\n',
    )
    writeFileSync(join(folder, 'running-1.log'), 'a line\n')
    await agent(['keygen', '--out', join(folder, 'running.key')])
    const daemon = spawn(process.execPath, [main, 'run', '--config', config], {
      env: environment,
      cwd: folder,
    })
    const ended = once(daemon, 'close')
    const journal = createInterface({ input: daemon.stderr })[Symbol.asyncIterator]()
    while (!String((await journal.next()).value).includes('agentStarted'));

    await askUntil(
      () => agent(['status', '--control', 'running.sock', '--json']),
      ({ stdout }) => stdout.includes('"queuedBytes":7'),
    )
    const flushed = await agent(['flush', '--config', config, '--timeout', '1s'])
    expect([flushed.status, flushed.stdout]).toMatchObject([
      75,
      expect.stringContaining('running-1.log: 7 B queued'),
    ])
    expect(flushed.stderr).toMatch(/logbox-agent: not everything has receipts yet: .*\n$/)
    const shown = await agent(['status', '--control', 'running.sock'])
    expect(shown).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^device +drone, epoch \d+/) as string,
    })
    expect(shown.stdout).not.toContain(escapeCharacter)

    daemon.kill('SIGTERM')
    const early = await Promise.race([ended, agent(['status', '--control', 'running.sock'])])
    expect(Array.isArray(early)).toBe(false)
    daemon.kill('SIGINT')
    expect(await ended).toEqual([0, null])
  })

  describe('while a second process checks the configuration', () => {
    test('ends at SIGTERM, and the check with it', async () => {
      const { path, daemon, ended } = startWaiting('stopped')
      const config = await openedForReading(path)
      daemon.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
      await expect.poll(() => tryWrite(config)).toBe('EPIPE')
      closeSync(config)
    })

    test('checks it itself where that is killed, as for want of memory', async () => {
      const { path, daemon, ended } = startWaiting('killed')
      const complaints = daemon.stderr.toArray()
      const config = await openedForReading(path)
      const [checker] = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8').split(' ')
      process.kill(Number(checker), 'SIGKILL')
      while (existsSync(`/proc/${checker}`)) await setTimeout(5)
      while (tryWrite(config) === 'EPIPE') await setTimeout(5)
      writeSync(config, '\ndevice: drone')
      closeSync(config)
      expect((await ended)[0]).toBe(78)
      expect((await complaints).join('')).toContain('is missing')
    })
  })
})

/** An agent whose configuration does not come. */
function startWaiting(name: string) {
  const path = join(folder, `${name}.yaml`)
  execFileSync('mkfifo', [path])
  const daemon = spawn(process.execPath, [main, 'run', '--config', path], { env: environment, cwd: folder })
  return { path, daemon, ended: once(daemon, 'close') }
}

/** The end to write to, once somebody reads at the other. */
async function openedForReading(path: string): Promise<number> {
  for (;;) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENXIO') throw cause
      await setTimeout(5)
    }
  }
}

function tryWrite(descriptor: number): string | undefined {
  try {
    writeSync(descriptor, '#')
    return undefined
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code
  }
}
