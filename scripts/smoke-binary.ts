/**
 * `node scripts/smoke-binary.ts AGENT...`: shows that a built agent works on its processor, or under what emulates it.
 * It makes a key, opens a queue, captures a file into it without a server, stops, and finds all of it again.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import manifest from '../package.json' with { type: 'json' }
import { Drone } from './demo-drone.ts'
import { ask, type Command } from './demo-programs.ts'

/** The discard port, where no server is. */
const noServer = 'http://127.0.0.1:9'
const lines = 'MODE, 12400000, Auto, 3, 10\n'.repeat(1000)

async function smoke(agent: Command, signal: AbortSignal): Promise<void> {
  const version = (await ask(agent, ['--version'], signal)).trim()
  expect(version === manifest.version, `--version prints ${version}`)

  await using folder = await mkdtempDisposable(join(tmpdir(), 'logbox-smoke-'))
  const watched = join(folder.path, 'logs')
  await mkdir(watched)
  await writeFile(join(watched, 'flight.log'), lines)
  const { publicKey: receiptKey } = generateKeyPairSync('ed25519')
  const server = { url: noServer, receiptKey: receiptKey.export({ format: 'jwk' }).x ?? '' }
  const options = { agent, folder: folder.path, watched, ...server, requestMaxBytes: 64 * 1024 }
  await using drone = await Drone.make(options, signal)
  console.log(`keygen made ${drone.publicKey}`)

  for (const start of ['first', 'second']) {
    await drone.start()
    const { queue, totals } = await drone.until((status) => status.totals.queuedBytes === lines.length)
    console.log(
      `${start} start: ${queue.records} records with ${totals.queuedBytes} bytes of log wait in the queue`,
    )
    const status = await drone.stop()
    expect(status === 0, `SIGTERM ended it with status ${status}`)
  }
}

function expect(holds: boolean, text: string): void {
  if (!holds) throw new Error(`not as it should be: ${text}`)
  console.log(text)
}

const [, , program, ...first] = process.argv
if (program === undefined) throw new Error('name the agent, and what starts it')
const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stopping.abort())
await smoke([program, ...first], stopping.signal)
