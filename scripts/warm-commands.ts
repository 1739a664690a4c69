import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { runProgram } from '../agent/cli/program.ts'
import { quietTerminal } from './quiet-terminal.ts'

/** The commands as a drone starts: a key is made, and a configuration checked. */
export async function warmCommands({
  runProgram: run,
}: {
  readonly runProgram: typeof runProgram
}): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'logbox-'))
  const key = join(folder.path, 'device.key')
  let made = ''
  const terminal = { ...quietTerminal, print: (text: string) => void (made += text) }
  await done(run(['keygen', '--out', key, '--json'], terminal))
  const { publicKey } = JSON.parse(made) as { publicKey: string }
  const config = join(folder.path, 'agent.yaml')
  const server = { url: 'https://logs.example', publicKey }
  const places = { key, state: 'state', control: 'control', sources: [{ paths: ['/var/log/*.log'] }] }
  await writeFile(config, JSON.stringify({ device: 'build', server, ...places }))
  await done(run(['run', '--config', config], terminal))
}

async function done(status: Promise<number>): Promise<void> {
  if ((await status) !== 0) throw new Error('the commands do not run')
}
