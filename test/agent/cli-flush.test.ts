import { describe, expect, test } from 'vitest'
import { barLine, bytesPerSecond, observe, type Progress } from '../../agent/cli/flush-progress.ts'
import type { FlushReport } from '../../agent/control/report.ts'
import { fakeAgent, flushing } from '../kit/fake-agent.ts'
import { run, screen } from '../kit/fake-terminal.ts'

const escape = '\u001b'

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
