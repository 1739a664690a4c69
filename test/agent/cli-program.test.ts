import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { errorText } from '../../agent/cli/exit-status.ts'
import { FakeTerminal, run } from '../kit/fake-terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'logbox-program-'))
afterAll(() => rmSync(folder, { recursive: true }))
const escape = '\u001b'

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
