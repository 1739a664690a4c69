import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import pkg from '../../package.json' with { type: 'json' }
import { readSettings } from '../../server-stub/config.ts'
import { Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { json, run, TestServer, type Ran } from './test-server.ts'

const commands = ['serve', 'key', 'device add', 'device list', 'device revoke', 'files', 'cat', 'verify']

test.for(commands)('%s rejects a flag that it does not know with 64 and one line', async (command) => {
  const { status, err, out } = await run(...command.split(' '), '--frob')
  expect([status, out.toString()]).toEqual([64, ''])
  expect(err).toMatch(/^logbox-server: [^\n]+\n$/)
})

test('what has no store is 66, and what names no store is 64', async () => {
  await using folder = await tempFolder()
  for (const args of [
    ['key'],
    ['files'],
    ['verify'],
    ['cat', 'a', '/b'],
    ['device', 'list'],
    ['device', 'revoke', 'a'],
  ]) {
    expect([args, (await run(...args, '--data', folder.path)).status]).toEqual([args, 66])
    expect([args, (await run(...args)).status]).toEqual([args, 64])
  }
})

test('a device is registered once, by one strong key, until it is revoked for good', async () => {
  await using folder = await tempFolder()
  const data = ['--data', folder.path]
  const [drone, other] = [new Drone('hexa-7'), new Drone('hexa-7')]
  const add = async (key: string): Promise<number> =>
    (await run('device', 'add', 'hexa-7', '--key', key, ...data)).status

  expect(await add(drone.publicKey)).toBe(0)
  expect(await add(drone.publicKey)).toBe(0)
  expect(await add(other.publicKey)).toBe(77)
  const [listed] = await json<Record<string, unknown>[]>('device', 'list', ...data)
  expect(listed).toMatchObject({
    device: 'hexa-7',
    publicKey: drone.publicKey,
    state: 'active',
    lastSeen: null,
  })
  expect((await run('device', 'revoke', 'hexa-8', ...data)).status).toBe(66)
  expect((await run('device', 'revoke', 'hexa-7', ...data)).status).toBe(0)
  expect(await add(drone.publicKey)).toBe(77)
  expect(await json('device', 'list', ...data)).toMatchObject([{ state: 'revoked' }])
})

test.for([
  ['the neutral element', '0100000000000000000000000000000000000000000000000000000000000000'],
  ['a point of order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['a y that is not reduced', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['no point of the curve', '0200000000000000000000000000000000000000000000000000000000000000'],
  ['a mixed-order point', 'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d'],
])('a key that is %s is refused with 64', async ([, digits = '']) => {
  await using folder = await tempFolder()
  const key = Buffer.from(digits, 'hex').toString('base64url')
  const { status, err } = await run('device', 'add', 'hexa-7', '--key', key, '--data', folder.path)
  expect(status).toBe(64)
  expect(err).toContain('weak')
})

test('keys and names that are misspelt are refused with 64', async () => {
  await using folder = await tempFolder()
  const { publicKey } = new Drone('x')
  for (const [name, key] of [
    ['hexa-7', publicKey.slice(1)],
    ['hexa-7', `${publicKey}=`],
    ['Hexa', publicKey],
    ['..', publicKey],
    ['a/b', publicKey],
  ] as const) {
    expect((await run('device', 'add', name, '--key', key, '--data', folder.path)).status).toBe(64)
  }
})

test('the receipt key is made once, for its owner only, and its public half is printed', async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, 'receipt.key')
  let pem = ''
  {
    await using server = await TestServer.start(folder.path)
    const publicKey = Buffer.from(server.key.bytes).toString('base64url')
    expect((await run('key', '--data', folder.path)).out.toString()).toBe(`${publicKey}\n`)
    expect(await json('key', '--data', folder.path)).toMatchObject({ publicKey })
    pem = await readFile(file, 'utf8')
  }
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  await using server = await TestServer.start(folder.path)
  expect(await readFile(file, 'utf8')).toBe(pem)
  expect(server.url).toMatch(/^http/)
})

test('a receipt key that others may read, that is damaged, or that is another one keeps the server from starting', async () => {
  await using folder = await tempFolder()
  await using elsewhere = await tempFolder()
  for (const { path } of [folder, elsewhere]) await (await TestServer.start(path))[Symbol.asyncDispose]()
  const file = join(folder.path, 'receipt.key')
  const status = async (): Promise<number> =>
    (await run('serve', '--port', '0', '--data', folder.path)).status

  await chmod(file, 0o644)
  expect(await status()).toBe(77)
  await chmod(file, 0o600)
  const pem = await readFile(file)
  await writeFile(file, pem.subarray(0, 40))
  expect(await status()).toBe(78)
  await writeFile(file, await readFile(join(elsewhere.path, 'receipt.key')))
  expect(await status()).toBe(78)
  expect((await run('verify', '--data', folder.path)).out.toString()).toMatch(/^RECEIPT_KEY_WRONG /)
  await writeFile(file, pem)
  expect((await run('verify', '--data', folder.path)).status).toBe(0)
})

test('a revoked key is refused under every name, whenever that was registered', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('first')
  const data = ['--data', folder.path]
  const add = (name: string): Promise<Ran> => run('device', 'add', name, '--key', drone.publicKey, ...data)
  expect([(await add('first')).status, (await add('second')).status]).toEqual([0, 0])
  await run('device', 'revoke', 'second', ...data)

  expect(await add('third')).toMatchObject({ status: 77, err: expect.stringContaining('was revoked') })
  expect(await add('first')).toMatchObject({ status: 77 })
  expect(await json('device', 'list', ...data)).toMatchObject([{ state: 'revoked' }, { state: 'revoked' }])
  const answer = await post(server.url, (await drone.data(labelOf('/a'), 0, 'x')).bytes)
  expect([answer.status, problemCode(answer)]).toEqual([403, 'KEY_REVOKED'])
})

test('a flag wins over the environment, and each says where it is wrong', () => {
  const env = { LOGBOX_SERVER_DATA: '/env', LOGBOX_SERVER_PORT: '1' }
  expect(readSettings(['data', 'host', 'port'], { port: '2' }, env)).toEqual({
    data: '/env',
    host: '127.0.0.1',
    port: 2,
  })
  expect(() => readSettings(['port'], { port: '65536' }, {})).toThrow(/--port "65536"/)
  expect(() => readSettings(['port'], {}, { LOGBOX_SERVER_PORT: '-1' })).toThrow(/LOGBOX_SERVER_PORT "-1"/)
})

test('a stream id that starts with a dash is no flag', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = { ...labelOf('/a'), stream: '-AAAAAAAAAAAAAAAAAAAAA' as ReturnType<typeof labelOf>['stream'] }
  await server.send(drone, await drone.data(label, 0, 'found'))
  expect((await server.cat('hexa-7', '-AAAAAAAAAAAAAAAAAAAAA')).out.toString()).toBe('found')
})

test('what is not here is named with 66', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  await server.register(new Drone('hexa-7'))
  expect(await server.cat('hexa-8', '/a')).toMatchObject({
    status: 66,
    err: expect.stringContaining('no device hexa-8'),
  })
  expect(await server.cat('hexa-7', '/a\n')).toMatchObject({
    status: 66,
    err: expect.stringContaining(String.raw`no file /a\x0a`),
  })
  expect((await run('files', '--device', 'hexa-8', '--data', folder.path)).status).toBe(66)
})

test('the version is the one of the package', () => {
  expect(pkg.version).toMatch(/^\d+\.\d+\.\d+$/)
})
