import { link, lstat, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openControl } from '../../agent/control/control-server.ts'
import type { Running } from '../../agent/control/tell-status.ts'
import { realWorld } from '../../agent/world.ts'
import { Fault } from '../../protocol/fault.ts'
import { tempFolder } from '../kit/temp-folder.ts'

/** Nobody asks anything of it here. */
const running = {} as Running
const open = (path: string): Promise<AsyncDisposable> => openControl(path, running, realWorld())

describe('at the path of the control socket', () => {
  test('a file that is no socket stays, and is named', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'precious.log')
    await writeFile(path, 'flight data')
    const fault: unknown = await open(path).catch((cause: unknown) => cause)
    if (!(fault instanceof Fault)) throw new Error('a file was taken for a socket', { cause: fault })
    expect(fault.code).toBe('CONTROL_UNUSABLE')
    expect(fault.message).toContain(path)
    expect(await readFile(path, 'utf8')).toBe('flight data')
  })

  test('a folder stays', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'folder')
    await mkdir(path)
    await expect(open(path)).rejects.toThrow('no control socket at')
    expect((await lstat(path)).isDirectory()).toBe(true)
  })

  test('a socket on which somebody listens stays his, even if he says nothing that we understand', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'other.sock')
    const other = createServer((socket) => socket.end('SSH-2.0\r\n'))
    await once(other.listen(path), 'listening')
    await expect(open(path)).rejects.toThrow('no control socket at')
    const client = connect(path)
    const [said] = (await once(client, 'data')) as [Buffer]
    expect(said.toString()).toBe('SSH-2.0\r\n')
    client.destroy()
    other.close()
  })

  test('only its owner and group may use the socket', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'control.sock')
    await using _control = await open(path)
    expect((await lstat(path)).mode & 0o777).toBe(0o660)
  })

  test('a socket that a killed agent left behind is replaced', async () => {
    await using folder = await tempFolder()
    const [path, left] = [join(folder.path, 'first.sock'), join(folder.path, 'left.sock')]
    const killed = createServer()
    await once(killed.listen(path), 'listening')
    // Closing takes the name away; this one stays, and nobody listens.
    await link(path, left)
    await once(killed.close(), 'close')
    await using _control = await open(left)
    const client = connect(left)
    await expect(once(client, 'connect')).resolves.toEqual([])
    client.destroy()
  })
})

test.each([
  ['nothing', ''],
  ['half a question', 'GET /status HT'],
])('a client that says %s does not hold up the shutdown', async (_, said) => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'agent.sock')
  const control = await open(path)
  const client = connect(path)
  await once(client, 'connect')
  client.write(said)
  client.on('error', () => undefined)
  const beganMs = performance.now()
  await control[Symbol.asyncDispose]()
  expect(performance.now() - beganMs).toBeLessThan(30_000)
  client.destroy()
})
