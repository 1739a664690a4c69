import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Sortie } from '../kit/sortie.ts'

test.each([
  ['its file is gone', undefined],
  ['another file has its path', 'of another file\n'],
])('what a damaged record held is named as lost when the index is lost, too, and %s', async (_, instead) => {
  await using sortie = await Sortie.start({ haste: 50, source: { closeAfter: '2s' } })
  sortie.linkDown()
  await sortie.agent.start()
  const texts = ['the first record\n', 'the second record\n', 'the third record\n']
  for (const [index, text] of texts.entries()) {
    await sortie.append('a.log', text)
    await sortie.agent.statusUntil(({ queue }) => queue.records > index)
  }
  await sortie.agent.stop()

  const folder = join(sortie.state, 'segments')
  const [name = ''] = await readdir(folder)
  const segment = await readFile(join(folder, name))
  segment.write('#', segment.indexOf(texts[1] ?? ''))
  await writeFile(join(folder, name), segment)
  await rm(join(sortie.state, 'queue'), { recursive: true })
  await sortie.remove('a.log')
  if (instead !== undefined) await sortie.write('a.log', instead)

  sortie.linkUp()
  await sortie.agent.start()
  const streams = await sortie.streamsUntil((all) => all.some(({ losses }) => losses.length > 0))
  const stream = streams.find(({ losses }) => losses.length > 0)
  if (!stream) throw new Error('a stream has a loss')
  const [from = 0, to = 0] = [1, 2].map((count) => texts.slice(0, count).join('').length)
  expect(stream.losses).toEqual([{ from, to, reason: 'deleted' }])
  expect(stream.missing).toEqual([])
  expect(String(stream.bytes.subarray(0, from))).toBe(texts[0])
  expect(String(stream.bytes.subarray(to))).toBe(texts[2])
  const others = streams.filter((other) => other !== stream).map(({ bytes }) => String(bytes))
  expect(others).toEqual(instead === undefined ? [] : [instead])
})

test('nothing that the server has is named as lost when the index is lost and the file is gone', async () => {
  await using sortie = await Sortie.start({ haste: 50, source: { closeAfter: '2s' } })
  await sortie.agent.start()
  await sortie.append('a.log', 'delivered long ago\n')
  await sortie.land()
  await sortie.agent.stop()
  // The next life writes another segment, and this one goes.
  sortie.linkDown()
  await sortie.agent.start()
  await sortie.append('a.log', 'waits in the queue\n')
  await sortie.agent.statusUntil(({ queue }) => queue.records > 0)
  await sortie.agent.stop()
  await rm(join(sortie.state, 'queue'), { recursive: true })
  await sortie.remove('a.log')

  sortie.linkUp()
  await sortie.agent.start()
  await sortie.told.told('streamEnded')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'a.log', bytes: 'delivered long ago\nwaits in the queue\n' }])
})
