import { mkdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { lines } from '../kit/lines.ts'
import { Program, programFile } from '../kit/program.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-073
test('a link that is set to another file begins a stream, and the file it led to is drained', async () => {
  await using sortie = await Sortie.start()
  await sortie.write('targets/t1', 'one\n')
  await sortie.symlink('targets/t1', 'current.log')
  await sortie.agent.start({ sources: [{ paths: [sortie.path('current.log')] }] })
  await sortie.land()
  await sortie.write('targets/t2', 'two\n')
  await sortie.symlink('targets/t2', 'current.log')
  await sortie.append('targets/t1', 'the rest of one\n')
  await sortie.append('current.log', 'the rest of two\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'current.log', bytes: 'one\nthe rest of one\n' },
    { path: 'current.log', bytes: 'two\nthe rest of two\n' },
  ])
})

// LB-075
test('a file and a link to it are one stream, also when it is truncated', async () => {
  await using sortie = await Sortie.start()
  await sortie.write('a.log', lines('first', 5))
  await sortie.symlink('a.log', 'b.log')
  await sortie.agent.start()
  await sortie.land()
  await sortie.truncate('b.log')
  await sortie.append('b.log', 'second\n')
  await sortie.land()
  await sortie.streamsUntil((streams) => streams.length > 1)
  await sortie.expectGenerations([
    { path: /^[ab][.]log$/, bytes: lines('first', 5) },
    { path: /^[ab][.]log$/, bytes: 'second\n' },
  ])
})

// LB-077
test('with fewer file handles than files each line arrives once, and no file is taken for deleted', async () => {
  await using flight = await Flight.start()
  const names = Array.from({ length: 200 }, (_, index) => `${index}.log`)
  for (const name of names) await flight.append(name, lines(name, 20))
  const limited = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, programFile('agent/main.ts')]
  await flight.launch(Program.spawn('sh', [...limited, 'run', '--config', flight.configFile]))
  await flight.land()
  for (const name of names) await flight.append(name, lines(name, 20, 20))
  await flight.land()
  await flight.expectWhole()
  expect(flight.agent?.lines.filter((line) => / streamEnded /.test(line))).toEqual([])
  expect(await flight.stopAgent()).toEqual({ status: 0, signal: null })
})

// LB-079
test('a small file is not starved by the backlog of a large one', async () => {
  await using sortie = await Sortie.start()
  const chance = new Seeded(79)
  const large = chance.bytes(3 << 20)
  const small = chance.bytes(256 << 10)
  await sortie.write('large.bin', large)
  await sortie.write('small.bin', small)
  await sortie.agent.start({ sources: [{ paths: [sortie.path('*.bin')], format: 'binary' }] })
  await sortie.land()
  const streams = await sortie.streams()
  const lastOf = (name: string) => streams.find(({ path }) => path === name)?.seqs.at(-1) ?? Infinity
  expect(lastOf('small.bin')).toBeLessThan(lastOf('large.bin') / 2)
  await sortie.expectGenerations([
    { path: 'large.bin', bytes: large },
    { path: 'small.bin', bytes: small },
  ])
})

// LB-073
test('a folder that appears with files in it is searched', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await mkdir(sortie.path('flights/1'), { recursive: true })
  await sortie.append('flights/1/app.log', 'deep\n')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'flights/1/app.log', bytes: 'deep\n' }])
})
