/** What the person asks of the demo. */
import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { exits, Fault } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFromSource, serverFromSource, type Command } from './demo-programs.ts'

export const usage = `npm run demo [-- FILE...]

Carries a simulated flight log, and one of this machine's own files or the FILEs you name,
over a link that breaks, and proves that they arrived byte for byte. Takes about 20 seconds.

  --agent PROGRAM    a built agent instead of the sources; also LOGBOX_AGENT
  --server PROGRAM   a built server instead of the sources; also LOGBOX_SERVER
`

export interface DemoOptions {
  readonly agent: Command
  readonly server: Command
  /** Shipped beside the flight log. */
  readonly files: readonly Extra[]
}

export interface Extra {
  readonly source: string
  readonly bytes: number
  /** In the watched folder, where it is unique. */
  readonly name: string
}

/** The options, or undefined where the person asks for help. Throws a Fault where they cannot be met. */
export async function readOptions(args: readonly string[]): Promise<DemoOptions | undefined> {
  const { values, positionals } = parse(args)
  if (values.help) return undefined
  const agent = await programAt(values.agent ?? process.env['LOGBOX_AGENT'])
  const server = await programAt(values.server ?? process.env['LOGBOX_SERVER'])
  const named = positionals.map(whereThePersonIs)
  const sources = named.length > 0 ? named : [await findRealFile()]
  const files: Extra[] = []
  for (const source of sources) files.push(await readable(source, files))
  return { agent: agent ?? agentFromSource, server: server ?? serverFromSource, files }
}

function parse(args: readonly string[]) {
  try {
    const options = {
      agent: { type: 'string' },
      server: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (cause) {
    const hint = 'see "npm run demo -- --help"'
    throw new Fault('USAGE', { exit: exits.usage, hint }, (cause as Error).message, { cause })
  }
}

/** npm starts scripts in the folder of package.json, whatever folder the person is in. */
function whereThePersonIs(path: string): string {
  const folder = process.env['npm_lifecycle_event'] === 'demo' ? process.env['INIT_CWD'] : undefined
  return resolve(folder ?? '.', path)
}

async function programAt(path: string | undefined): Promise<Command | undefined> {
  if (!path) return undefined
  const program = whereThePersonIs(path)
  await access(program, constants.X_OK).catch((cause: unknown) => {
    throw inputMissing(`no program at ${program}`, 'make it with "npm run build"', cause)
  })
  return [program]
}

function inputMissing(message: string, hint: string, cause?: unknown): Fault {
  return new Fault('INPUT_MISSING', { exit: exits.noInput, hint }, showText(message), { cause })
}

async function readable(source: string, before: readonly Extra[]): Promise<Extra> {
  const hint = 'name a file that is there and not empty'
  const facts = await stat(source).catch((cause: unknown) => {
    throw inputMissing(`no file at ${source}`, hint, cause)
  })
  if (!facts.isFile()) throw inputMissing(`${source} is not a file`, hint)
  if (facts.size === 0) throw inputMissing(`${source} is empty`, hint)
  await access(source, constants.R_OK).catch((cause: unknown) => {
    const kind = { exit: exits.notAllowed, hint: 'run as a user who may' }
    throw new Fault('INPUT_UNREADABLE', kind, showText(`${source} may not be read`), { cause })
  })
  return { source, bytes: facts.size, name: freeName(basename(source), before) }
}

function freeName(name: string, before: readonly Extra[]): string {
  const taken = new Set(['flight.log', ...before.map((extra) => extra.name)])
  for (let copy = 1; ; copy++) {
    const free = copy === 1 ? name : `${copy}-${name}`
    if (!taken.has(free)) return free
  }
}

const plausibleBytes = { least: 16 * 1024, most: 32 * 1024 * 1024 }

/** The largest log of this machine that is no burden, else the one file that is surely here: the running program. */
async function findRealFile(): Promise<string> {
  const folder = '/var/log'
  const found = await readdir(folder, { recursive: true }).catch(() => [])
  const sized = await Promise.all(found.map((name) => sizeIfReadable(join(folder, name))))
  const [largest] = sized
    .filter(({ bytes }) => bytes >= plausibleBytes.least && bytes <= plausibleBytes.most)
    .toSorted((a, b) => b.bytes - a.bytes)
  return largest?.path ?? process.execPath
}

async function sizeIfReadable(path: string): Promise<{ readonly path: string; readonly bytes: number }> {
  try {
    const facts = await stat(path)
    await access(path, constants.R_OK)
    return { path, bytes: facts.isFile() ? facts.size : 0 }
  } catch {
    // Logs come and go, and some are for root only: the next one will do.
    return { path, bytes: 0 }
  }
}
