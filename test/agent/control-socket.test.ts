import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { publicKey } from '../kit/config-text.ts'
import { fakeAgent, telling } from '../kit/fake-agent.ts'
import { FakeTerminal, run } from '../kit/fake-terminal.ts'
import { statusReport } from '../kit/status-report.ts'

const folder = mkdtempSync(join(tmpdir(), 'logbox-socket-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('the control socket', () => {
  const config = join(folder, 'agent.yaml')
  const server = `server: { url: 'https://logs.example.org', publicKey: ${publicKey} }`
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
