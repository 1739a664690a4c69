import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { capabilitiesOf, readCapabilities, type Capabilities } from '../../protocol/capabilities.ts'
import { paths } from '../../protocol/contract.ts'
import { Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

async function capabilities({ url }: TestServer): Promise<Capabilities> {
  const answer = await fetch(`${url}${paths.capabilities}`)
  const read = readCapabilities(new Uint8Array(await answer.arrayBuffer()))
  if (!read.ok) throw new Error(`${answer.status} ${read.why}`)
  return read.capabilities
}

async function storeOf(data: string): Promise<string> {
  await using server = await TestServer.start(data)
  return (await capabilities(server)).store
}

/** A store that holds a record of one drone. */
async function fill(data: string, drone: Drone): Promise<string> {
  await using server = await TestServer.start(data)
  await server.register(drone)
  await server.send(drone, await drone.data(labelOf('/a'), 0, 'x'))
  return (await capabilities(server)).store
}

test('a server says what it takes, which is what this version allows', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const said = await capabilities(server)
  expect(said).toEqual(capabilitiesOf(said.store))
})

test('a store that holds records keeps its id over a restart, and over the loss of its catalog', async () => {
  await using folder = await tempFolder()
  const drone = new Drone('hexa-7')
  const id = await fill(folder.path, drone)
  expect(await storeOf(folder.path)).toBe(id)

  mkdirSync(join(folder.path, 'old'))
  for (const name of readdirSync(folder.path).filter((file) => file.startsWith('catalog.db'))) {
    renameSync(join(folder.path, name), join(folder.path, 'old', name))
  }
  expect(await storeOf(folder.path)).toBe(id)
})

test.each([['with its catalog'], ['without its catalog']])(
  'a folder whose records are gone is another store, %s',
  async (how) => {
    await using folder = await tempFolder()
    const id = await fill(folder.path, new Drone('hexa-7'))
    rmSync(join(folder.path, 'records'), { recursive: true })
    for (const name of readdirSync(folder.path)) {
      if (how === 'without its catalog' && name.startsWith('catalog')) rmSync(join(folder.path, name))
    }
    expect(await storeOf(folder.path)).not.toBe(id)
  },
)

test('two folders are two stores', async () => {
  await using one = await tempFolder()
  await using other = await tempFolder()
  expect(await storeOf(one.path)).not.toBe(await storeOf(other.path))
})
