import { spawnSync } from 'node:child_process'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

const main = fileURLToPath(new URL('../../server-stub/main.ts', import.meta.url))
const asReadOnly = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'

const mayMount = spawnSync('unshare', ['-rm', 'mount', '--bind', '/tmp', '/tmp']).status === 0
if (!mayMount) console.warn('skipped the tests of a read-only disk: mounting is not permitted here')

interface Said {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** A command, where the folder is mounted read-only. */
function runReading(folder: string, ...args: string[]): Said {
  const program = [process.execPath, main, ...args, '--data', folder]
  const ran = spawnSync('unshare', ['-rm', 'sh', '-c', asReadOnly, 'sh', folder, ...program])
  return { status: ran.status, out: ran.stdout.toString(), err: ran.stderr.toString() }
}

/** A folder in which a server has stopped, and one as a server leaves it that is killed. */
async function stores(folder: string): Promise<{ readonly stopped: string; readonly killed: string }> {
  const [stopped, killed] = [join(folder, 'stopped'), join(folder, 'killed')]
  await using server = await TestServer.start(stopped)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'signed'), drone.close(label, 'signed'))
  await cp(stopped, killed, { recursive: true })
  return { stopped, killed }
}

test.skipIf(!mayMount)(
  'an auditor reads a store in which nothing can be written, and changes nothing',
  async () => {
    await using folder = await tempFolder()
    const { stopped, killed } = await stores(folder.path)
    const whole = { status: 0, out: expect.stringContaining('whole, closed'), err: '' }

    expect(runReading(stopped, 'files')).toEqual(whole)
    expect(runReading(killed, 'files')).toEqual(whole)
    expect(runReading(killed, 'cat', 'hexa-7', '/a')).toEqual({ status: 0, out: 'signed', err: '' })
    expect(runReading(stopped, 'verify')).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^records 2, .*all signatures/m),
    })
    expect(runReading(stopped, 'device', 'revoke', 'hexa-7')).toMatchObject({
      status: 74,
      err: expect.stringContaining('readonly'),
    })
  },
)

test.skipIf(!mayMount)(
  'what was committed last is never left out silently: it is said that it cannot be read',
  async () => {
    await using folder = await tempFolder()
    const { killed } = await stores(folder.path)
    await rm(join(killed, 'catalog.db-shm'))

    expect(runReading(killed, 'verify')).toMatchObject({
      status: 74,
      out: '',
      err: expect.stringContaining('catalog.db-wal holds what was committed last'),
    })
  },
)
