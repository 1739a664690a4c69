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
  const hash = createHash('sha256')
  const lacking: string[] = []
  for await (const piece of readStream(layout, { store: parts.store, keys })) {
    if (piece.is === 'gap') {
      lacking.push(gapLine(piece.gap))
      continue
    }
    hash.update(piece.bytes)
    await terminal.print(piece.bytes)
  }
  if (lacking.length > 0 || isContentOf(layout, hash.digest())) return lacking
  return ['the content is not the one that the drone closed the file with: its length or hash differs']
}

function isContentOf({ close, end }: Layout, sha256: Uint8Array): boolean {
  if (!close?.sha256) return true
  return close.length === end && equalBytes(close.sha256, sha256)
}

function gapLine({ from, to, why, detail }: Gap): string {
  return `bytes ${from} to ${to ?? 'nobody knows where'} are ${why}: ${showLine(detail)}`
}
