import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Drone } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { json, run } from './test-server.ts'

const drone = new Drone('hexa-7')

test('device add says that it made a store where there was none, for --data may be mistyped', async () => {
  await using folder = await tempFolder()
  const data = join(folder.path, 'typo')
  const add = ['device', 'add', 'hexa-7', '--key', drone.publicKey, '--data', data]

  expect(await run(...add)).toMatchObject({
    status: 0,
    err: `there was no store at ${data}: made a new one\n`,
  })
  expect(await run(...add)).toMatchObject({ status: 0, err: '' })
})

test('what follows -- is a name, also one that starts with a dash', async () => {
  await using folder = await tempFolder()
  const data = ['--data', folder.path]
  expect(await run('device', 'add', '--key', drone.publicKey, ...data, '--', '-x')).toMatchObject({
    status: 0,
  })
  expect(await run('device', 'revoke', ...data, '--', '-x')).toMatchObject({ status: 0 })
  expect(await json('device', 'list', ...data)).toMatchObject([{ device: '-x', state: 'revoked' }])
  expect(await run('cat', ...data, '--', '-x', '-nothing')).toMatchObject({
    status: 66,
    err: expect.stringContaining('-x has no file -nothing'),
  })
  expect(await run('device', 'list', '--', ...data)).toMatchObject({
    status: 64,
    err: expect.not.stringContaining('x00'),
  })
})

test.each([[], ['device', 'add']])('-h is --help', async (...command) => {
  using log = vi.spyOn(console, 'log').mockReturnValue()
  expect(await run(...command, '--help')).toMatchObject({ status: 0, err: '' })
  expect(await run(...command, '-h')).toMatchObject({ status: 0, err: '' })

  const [long, short] = log.mock.calls
  expect(long).toEqual([expect.stringContaining('--data')])
  expect(short).toEqual(long)
})
