import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-065
test('an agent that starts again ships what was appended meanwhile, and nothing else', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', 'before\n')
  await sortie.land()
  await sortie.agent.stop()
  await sortie.append('app.log', 'after\n')
  await sortie.agent.start()
  await sortie.land()
  const [stream] = await sortie.streams()
  expect(stream?.seqs).toHaveLength(2)
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'before\nafter\n' }])
})

// LB-067
test('what was stored without an answer is offered again by the next agent, and stored once', async () => {
  await using sortie = await Sortie.start()
  sortie.link.cutAfter({ toClient: 0 })
  await sortie.append('app.log', lines('app', 2000))
  await sortie.agent.start()
  await sortie.streamsUntil(([stream]) => (stream?.bytes.length ?? 0) > 0)
  expect((await sortie.agent.status()).totals.receiptedBytes).toBe(0)
  await sortie.agent.kill()
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: lines('app', 2000) }])
})

// LB-069
test('a file that is rotated while the agent is off is not shipped again, and its successor is', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('file', 'line 1\n')
  await sortie.land()
  await sortie.agent.stop()
  await sortie.rename('file', 'file.old')
  await sortie.append('file', 'line 2\n')
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'file', bytes: 'line 1\n' },
    { path: 'file', bytes: 'line 2\n' },
  ])
})

// LB-071
test('what a crash leaves half-written in the state is passed over; what is whole in it is delivered', async () => {
  await using sortie = await Sortie.start()
  sortie.linkDown()
  await sortie.agent.start()
  await sortie.append('app.log', 'whole in the queue\n')
  await sortie.agent.statusUntil(({ queue }) => queue.records === 1)
  await sortie.agent.kill()
  const epoch = await readFile(join(sortie.state, 'epoch'), 'utf8')
  const segments = join(sortie.state, 'segments')
  const [segment = ''] = await readdir(segments)
  const record = await readFile(join(segments, segment))
  await appendFile(join(segments, segment), record.subarray(0, record.length / 2))
  await writeFile(join(segments, '99999999.logb'), record.subarray(0, 10))
  await writeFile(join(sortie.state, 'epoch.new'), '17')
  await sortie.append('app.log', 'and what comes after\n')
  sortie.linkUp()
  await sortie.agent.start()
  await sortie.land()
  await sortie.agent.stop()
  expect(await readFile(join(sortie.state, 'epoch'), 'utf8')).toBe(epoch)
  expect(await readdir(sortie.state)).not.toContain('epoch.new')
  await using queue = await sortie.queue()
  expect(queue.ledger.records).toBe(0)
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'whole in the queue\nand what comes after\n' }])
})

// LB-067
test('an agent that is killed again and again while it ships stores each byte once', async () => {
  await using sortie = await Sortie.start()
  const content = lines('app', 20_000)
  for (let at = 0; at < content.length; at += 40_000) {
    await sortie.append('app.log', content.slice(at, at + 40_000))
    await sortie.agent.start()
    await sortie.told.told('segmentSynced', sortie.told.named('segmentSynced').length + 1)
    await sortie.agent.kill()
  }
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: content }])
})
