import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parsePublicKey } from '../../protocol/ed25519-policy.ts'
import { batchOf, Drone, labelOf, post, receiptIn } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { endedWithTest, json, run, TestServer } from './test-server.ts'

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** A real process, and the first line that it prints. */
async function start(...args: string[]): Promise<{ child: ChildProcess; line: string } & AsyncDisposable> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, line: line.toString().trim(), ...endedWithTest(child) }
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  const exit = once(child, 'exit')
  child.kill(signal)
  return exit
}

test.for(['stored', 'committed', 'receiptSent'])(
  'a server that is killed at "%s" has every record once after the drone sent it again',
  async (fact) => {
    await using folder = await tempFolder()
    const drone = new Drone('hexa-7')
    await run('device', 'add', drone.device, '--key', drone.publicKey, '--data', folder.path)
    const label = labelOf('/log')
    const content = 'some of a log\n'.repeat(50)
    const records = [await drone.data(label, 0, content), await drone.data(label, content.length, content)]
    await using started = await start(file('../kit/dying-server.ts'), folder.path, fact, '1')
    const { listening } = JSON.parse(started.line) as { listening: string }
    const died = once(started.child, 'exit')

    await post(listening, batchOf(...records)).catch(() => undefined)
    expect((await died)[1]).toBe('SIGKILL')

    await using server = await TestServer.start(folder.path)
    expect(await server.send(drone, ...records)).toEqual(['duplicate', 'duplicate'])
    expect((await server.cat('hexa-7', '/log')).out.toString()).toBe(content.repeat(2))
    expect((await server.verify()).out.toString()).toMatch(/^records 2, .*all signatures/m)
  },
)

test('however often the server is killed while it takes records in, each is there once and verify is clean', async () => {
  await using folder = await tempFolder()
  const data = ['--data', folder.path]
  const drone = new Drone('hexa-7')
  await run('device', 'add', drone.device, '--key', drone.publicKey, ...data)
  const label = labelOf('/log')
  const line = 'a line that is told from the others by its number: '
  const text = Array.from({ length: 4000 }, (_, at) => `${line}${at}\n`).join('')
  const size = 2048
  const records = []
  for (let at = 0; at < text.length; at += size)
    records.push(await drone.data(label, at, text.slice(at, at + size)))

  let next = 0
  for (let round = 0; next < records.length; round++) {
    await using started = await start(file('../../server-stub/main.ts'), 'serve', ...data, '--port', '0')
    const { child, line } = started
    const { listening, publicKey } = JSON.parse(line) as { listening: string; publicKey: string }
    const key = parsePublicKey(Buffer.from(publicKey, 'base64url'))
    if (!key) throw new Error('the server has no key')
    // It dies in the middle of the third batch of most rounds, wherever that is.
    const lastRound = round >= 5
    let sent = 0
    try {
      while (next < records.length) {
        const batch = records.slice(next, next + 4)
        const pending = post(listening, batchOf(...batch))
        if (!lastRound && ++sent > 2) setImmediate(() => child.kill('SIGKILL'))
        const { entries } = receiptIn(await pending, key, drone.device)
        expect(entries.every(({ outcome }) => outcome === 'stored' || outcome === 'duplicate')).toBe(true)
        next += batch.length
      }
    } catch (error) {
      // The connection died with the server: the batch is sent again.
      if (lastRound) throw error
    }
    if (child.exitCode === null && child.signalCode === null)
      await kill(child, lastRound ? 'SIGTERM' : 'SIGKILL')
  }

  const { status, out } = await run('cat', 'hexa-7', '/log', ...data)
  expect([status, out.toString()]).toEqual([0, text])
  expect(await json('verify', ...data)).toMatchObject({ records: records.length, problems: [] })
})

test('a second server on the same data exits 75 and says who holds it, and a killed one holds nothing', async () => {
  await using folder = await tempFolder()
  const serve = [file('../../server-stub/main.ts'), 'serve', '--data', folder.path, '--port', '0']
  await using first = await start(...serve)

  const { status, err } = await run('serve', '--data', folder.path, '--port', '0')
  expect(status).toBe(75)
  expect(err).toContain(`process ${first.child.pid}`)

  await kill(first.child, 'SIGKILL')
  await using second = await start(...serve)
  expect(JSON.parse(second.line)).toMatchObject({
    listening: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
  })
  expect(await kill(second.child, 'SIGTERM')).toEqual([0, null])
})

test('a reader that leaves early is no error', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/log')
  for (let at = 0; at < 4; at++)
    await server.send(drone, await drone.data(label, at * 2 ** 20, Buffer.alloc(2 ** 20, 'x')))
  const args = [file('../../server-stub/main.ts'), 'cat', 'hexa-7', '/log', '--data', folder.path]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))

  child.stdout.once('data', () => child.stdout.destroy())

  expect(await once(child, 'exit')).toEqual([0, null])
  expect(said).toBe('')
})
