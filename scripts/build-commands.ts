import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Terminal } from '../agent/cli/terminal.ts'
import { loadCommands, scriptOf, type Commands } from './commands-script.ts'

const none = new Uint8Array(0)

/**
 * Writes V8's code cache of a bundle of the commands to `to`: of the functions too that a start of the agent needs, which
 * one start has compiled before it is made. Empty for another architecture than this one's.
 */
export async function writeCodeCache(bundle: string, to: string, isOwnArchitecture: boolean): Promise<void> {
  await writeFile(to, isOwnArchitecture ? await codeCacheOf(await readFile(bundle, 'utf8')) : none)
}

async function codeCacheOf(source: string): Promise<Uint8Array> {
  const script = scriptOf(source, none)
  await start(loadCommands(script))
  const codeCache = script.createCachedData()
  if (scriptOf(source, codeCache).cachedDataRejected)
    throw new Error('V8 refuses the code cache of the commands')
  return codeCache
}

/** As a drone starts: a key is made, and a configuration checked. */
async function start({ runProgram }: Commands): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'logbox-'))
  const key = join(folder.path, 'device.key')
  let made = ''
  const terminal = { ...quiet, print: (text: string) => void (made += text) }
  await run(runProgram(['keygen', '--out', key, '--json'], terminal))
  const { publicKey } = JSON.parse(made) as { publicKey: string }
  const config = join(folder.path, 'agent.yaml')
  const server = { url: 'https://logs.example', publicKey }
  const places = { key, state: 'state', control: 'control', sources: [{ paths: ['/var/log/*.log'] }] }
  await writeFile(config, JSON.stringify({ device: 'build', server, ...places }))
  await run(runProgram(['run', '--config', config], terminal))
}

async function run(status: Promise<number>): Promise<void> {
  if ((await status) !== 0) throw new Error('the commands do not run')
}

const quiet: Terminal = {
  env: {},
  print: () => undefined,
  tell: (text) => void process.stderr.write(text),
  hasColor: false,
  canRedraw: false,
  columns: () => 80,
  nowMs: () => 0,
  handOver: () => undefined,
}
