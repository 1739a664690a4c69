import { describe, expect, test } from 'vitest'
import { reportedPath } from '../../agent/control/reported-path.ts'
import { fakeAgent, telling } from '../kit/fake-agent.ts'
import { run, screen } from '../kit/fake-terminal.ts'
import { statusReport } from '../kit/status-report.ts'

const escape = '\u001b'

function fail(): never {
  throw new Error('no file in the report')
}

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

  test('with --json moves no cursor', async () => {
    const [file = fail()] = statusReport.files
    const odd = { ...statusReport, files: [{ ...file, path: '/var/log/\u009b2J\u202e.log' }] }
    await using agent = await fakeAgent(telling(odd))
    const { stdout } = await run(['status', '--control', agent.socket, '--json'], screen())
    expect(JSON.parse(stdout)).toEqual(odd)
    expect(stdout).toContain(String.raw`/var/log/\u009b2J\u202e.log`)
  })

  test('shows each byte of a path that is not UTF-8', async () => {
    const [file = fail()] = statusReport.files
    const files = [
      { ...file, ...reportedPath(Buffer.from('/var/log/a\xff', 'latin1')) },
      { ...file, ...reportedPath(Buffer.from('/var/log/a\xfe', 'latin1')) },
    ]
    await using agent = await fakeAgent(telling({ ...statusReport, files }))
    const { stdout } = await run(['status', '--control', agent.socket])
    expect(stdout).toMatch(/ \/var\/log\/a\\xff\n(?:.*\n)*.* \/var\/log\/a\\xfe\n/)
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
