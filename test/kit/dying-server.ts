import { runServer } from '../../server-stub/app.ts'
import { serverLimits } from '../../server-stub/config.ts'
import { openParts } from '../../server-stub/parts.ts'
import { base64url } from '../../protocol/ids.ts'
import { dyingAt } from './dying-step.ts'

/** `node dying-server.ts DATA STEP NTH`: the server as it is, until it has told of STEP for the NTH time. */
const [, , data = '', step = '', nth = ''] = process.argv
const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort())
await using parts = await openParts(data, (line) => process.stderr.write(line))
const journal = dyingAt(parts.journal, step, Number(nth))
const listening = (url: string): void => {
  const publicKey = base64url(parts.signer.publicKey.bytes)
  process.stdout.write(`${JSON.stringify({ listening: url, publicKey })}\n`)
}
await runServer(
  { data, host: '127.0.0.1', port: 0, limits: serverLimits },
  { ...parts, journal: { ...journal, listening } },
  stopping.signal,
)
