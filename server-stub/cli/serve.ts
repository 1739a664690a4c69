import { base64url } from '../../protocol/ids.ts'
import { exits } from '../../protocol/fault.ts'
import { showJson } from '../../protocol/show-text.ts'
import { runServer } from '../app.ts'
import { readSettings, serverLimits } from '../config.ts'
import { openParts, type Parts } from '../parts.ts'
import { settingFlag, type Command } from './command.ts'
import type { Terminal } from './terminal.ts'

export const serve: Command = {
  usage: 'serve',
  describe: 'take in records and answer with signed receipts',
  flags: (yargs) =>
    settingFlag(settingFlag(settingFlag(yargs, 'data'), 'host'), 'port').example(
      '$0 serve --data /var/lib/logbox-server --host 127.0.0.1 --port 8443',
      'listens, and says where in one JSON line',
    ),
  run: async (args, terminal) => {
    const settings = readSettings(['data', 'host', 'port'], args, terminal.env)
    const signal = terminal.untilStopped()
    await using parts = await openParts(settings.data, terminal.tell)
    await runServer({ ...settings, limits: serverLimits }, announcing(parts, terminal), signal)
    return exits.done
  },
}

/** Scripts wait for this line on stdout to know that the server is there, and where. */
function announcing(parts: Parts, terminal: Terminal): Parts {
  const publicKey = base64url(parts.signer.publicKey.bytes)
  const listening = (url: string): void => {
    parts.journal.listening(url)
    terminal.print(`${showJson({ listening: url, publicKey })}\n`).catch((cause: unknown) => {
      // The drones do not read it: the server serves on.
      terminal.tell(`cannot print where it listens: ${cause instanceof Error ? cause.message : ''}\n`)
    })
  }
  return { ...parts, journal: { ...parts.journal, listening } }
}
