import { createHash } from 'node:crypto'
import { equalBytes } from '../../protocol/ids.ts'
import { exits } from '../../protocol/fault.ts'
import { showLine, showPath, showText } from '../../protocol/show-text.ts'
import { serverFault } from '../faults.ts'
import { auditKeys } from '../ingest/key-ring.ts'
import { openStore, type StoreParts } from '../parts.ts'
import { findStream, type FoundStream } from '../query/find-stream.ts'
import { layOut, whyEmpty, type Gap, type Layout } from '../query/layout.ts'
import { readStream } from '../query/read-stream.ts'
import {
  dataFolder,
  deviceArgument,
  settingFlag,
  textArgument,
  type Arguments,
  type Command,
} from './command.ts'
import type { Terminal } from './terminal.ts'

export const cat: Command = {
  usage: 'cat <device> <file>',
  describe: 'write the bytes of a file as they were on the drone',
  flags: (yargs) =>
    settingFlag(yargs, 'data')
      .positional('device', { type: 'string', demandOption: true, describe: 'name of the device' })
      .positional('file', { type: 'string', demandOption: true, describe: 'path on the drone, or stream id' })
      .option('allow-gaps', { type: 'boolean', describe: 'exit 0 even if some of the bytes are not here' })
      .example('$0 cat hexa-7 /var/log/flight/42.log --data DIR > 42.log', ''),
  run: async (args, terminal) => {
    await using parts = await openStore(dataFolder(args, terminal))
    const { stream, earlier } = await findNamed(args, parts)
    for (const older of earlier) terminal.tell(`${olderLine(older)}\n`)
    const layout = await layOut(parts.catalog.recordsOf(stream.device, stream.stream))
    const lacking = await writeOut(layout, parts, terminal)
    for (const line of lacking) terminal.tell(`${line}\n`)
    return lacking.length === 0 || args['allow-gaps'] === true ? exits.done : exits.tryAgain
  },
}

async function findNamed(args: Arguments, { catalog }: StoreParts): Promise<FoundStream> {
  const device = deviceArgument(args, 'device')
  const name = textArgument(args, 'file')
  if (!(await catalog.device(device))) throw serverFault('DEVICE_MISSING', `no device ${device}`)
  const found = findStream(await catalog.streams(device), name)
  if (!found) throw serverFault('STREAM_MISSING', `${device} has no file ${showText(name)}`)
  return found
}

const olderLine = ({ path, stream }: FoundStream['stream']): string =>
  `an earlier file was at ${showPath(path)} too: name ${stream} to see it`

/** Writes what is here, and returns a line for each thing that is not as it should be. */
async function writeOut(layout: Layout, parts: StoreParts, terminal: Terminal): Promise<string[]> {
  const empty = whyEmpty(layout)
  if (empty !== undefined) return [empty]
  const keys = auditKeys(await parts.catalog.devices())
  const closing = new Closing(layout)
  const lacking: string[] = []
  const outdated: string[] = []
  for await (const piece of readStream(layout, { store: parts.store, keys })) {
    if (piece.is === 'gap') {
      lacking.push(gapLine(piece.gap))
      continue
    }
    closing.update(piece.bytes)
    if (piece.outdated) outdated.push(gapLine(piece.outdated))
    await terminal.print(piece.bytes)
  }
  if (lacking.length > 0) return [...lacking, ...outdated]
  return closing.isProven() ? [] : [...outdated, ...closing.complaints()]
}

/** Compares what is written out with what the drone closed the file with. */
class Closing {
  readonly #layout: Layout
  readonly #hash = createHash('sha256')
  #left: number

  constructor(layout: Layout) {
    this.#layout = layout
    this.#left = layout.close?.length ?? 0
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes.subarray(0, this.#left))
    this.#left = Math.max(0, this.#left - bytes.length)
  }

  isProven(): boolean {
    return this.#layout.sinceClose === 'nothing' && this.#layout.close !== undefined && this.#fits()
  }

  complaints(): string[] {
    const { close, sinceClose } = this.#layout
    if (!close || (sinceClose === 'grown' && this.#fits())) return []
    if (sinceClose === 'changed')
      return ['the file changed after the drone closed it, and was not closed again']
    return ['the content is not the one that the drone closed the file with: its length or hash differs']
  }

  #fits(): boolean {
    const { close, endAtClose } = this.#layout
    if (!close?.sha256) return true
    return close.length === endAtClose && equalBytes(close.sha256, this.#hash.copy().digest())
  }
}

function gapLine({ from, to, why, detail }: Gap): string {
  const range = `bytes ${from} to ${to ?? 'nobody knows where'}`
  const says = why === 'outdated' ? 'older than what was written there last, which is lost' : why
  return `${range} are ${says}: ${showLine(detail)}`
}
