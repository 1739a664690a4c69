import { expect, test } from 'vitest'
import { serverFault } from '../../server-stub/faults.ts'
import type { Catalog } from '../../server-stub/catalog/catalog.ts'
import { Drone, labelOf, post } from '../kit/drone.ts'
import { lines } from '../kit/lines.ts'
import { Sortie } from '../kit/sortie.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from '../server-stub/test-server.ts'
import { hostileRecords } from '../vectors/hostile-records.ts'
import { testKeys } from '../vectors/keys.ts'

/** The catalog, which refuses to commit so many times. */
function failing(catalog: Catalog, times: number): Catalog {
  let left = times
  const commit: Catalog['commit'] = async (records) => {
    if (left-- > 0) throw serverFault('STORE_UNWRITABLE', 'injected')
    await catalog.commit(records)
  }
  return new Proxy(catalog, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (name === 'commit') return commit
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

// LB-091
test('what the server could not store three times is sent again after a pause, and stored once', async () => {
  await using sortie = await Sortie.start({
    serverParts: ({ catalog }) => ({ catalog: failing(catalog, 3) }),
  })
  await sortie.agent.start()
  await sortie.append('app.log', lines('app', 100))
  await sortie.land()
  expect(sortie.told.named('deliveryFailed').length).toBeGreaterThanOrEqual(3)
  await sortie.expectGenerations([{ path: 'app.log', bytes: lines('app', 100) }])
})

// LB-097
test('a link that dies in the middle of each request but the last costs nothing and stores nothing twice', async () => {
  await using sortie = await Sortie.start()
  sortie.linkDown()
  await sortie.agent.start()
  const content = lines('app', 30_000)
  await sortie.append('app.log', content)
  await sortie.agent.statusUntil(({ totals }) => totals.queuedBytes === content.length)
  sortie.linkUp()
  // A record has about six kilobytes: each request is cut in its second or third.
  sortie.link.cutAfter({ toServer: 15_000, times: 10 })
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: content }])
})

/** The one is no record, and the other a good record before a byte too much. */
const notAlone = new Set(['empty', 'trailing'])

/** As many requests at once as a server surely takes of one drone. */
function* handfuls<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += 8) yield all.slice(at, at + 8)
}

/** The server had no time, or an error of its own. */
const isTurnedAway = ({ status }: { readonly status: number }): boolean => status === 429 || status >= 500

// LB-099
test('no hostile record is stored, and none harms its good neighbour or the server', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7', testKeys.hexa.signer, 9)
  await server.register(drone)
  const hostile = hostileRecords.map(({ id, hex }) => ({
    id,
    bytes: Buffer.from(hex.replaceAll(' ', ''), 'hex'),
  }))
  for (const some of handfuls(hostile.filter(({ id }) => !notAlone.has(id)))) {
    const answers = await Promise.all(some.map(({ bytes }) => post(server.url, bytes)))
    expect(answers.filter(isTurnedAway)).toEqual([])
  }
  expect(await server.files()).toEqual([])
  for (const some of handfuls(hostile)) {
    const goods = await Promise.all(some.map(({ id }) => drone.data(labelOf(`/good/${id}`), 0, id)))
    const batches = some.map(({ bytes }, index) => Buffer.concat([goods[index]?.bytes ?? bytes, bytes]))
    const answers = await Promise.all(batches.map((batch) => post(server.url, batch)))
    expect(answers.filter(isTurnedAway)).toEqual([])
  }
  const files = await server.files()
  expect(files.filter(({ path }) => path.startsWith('/good/'))).toHaveLength(hostile.length)
  expect(files.filter(({ path }) => !path.startsWith('/good/')).length).toBeLessThanOrEqual(1)
  expect((await server.verify()).status).toBe(0)
})
