import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import type { Program } from '../kit/program.ts'
import { Seeded } from '../kit/seeded.ts'
import { mayMount, SmallDisk, type DiskKind } from '../kit/small-disk.ts'

const settings = { shutdownGrace: '200ms', queue: { maxBytes: '64MiB', minFree: '0' } }
const content = new Seeded(1).bytes(5 << 20)
const later = new Seeded(2).bytes(2 << 20)

/** A drone with its state on a disk of 28 MiB, where all of a file waits in the queue, and no link. */
async function withQueue(flight: Flight, kind: DiskKind): Promise<SmallDisk> {
  await mkdir(flight.state)
  flight.link.cut()
  const disk = await SmallDisk.mount(kind, flight.state, 28 << 20, join(flight.folder, 'disk'))
  await startOn(disk, flight)
  await flight.append('blackbox.bin', content)
  await flight.statusUntil(({ totals }) => totals.queuedBytes === content.length)
  return disk
}

const startOn = (disk: SmallDisk, flight: Flight): Promise<Program> =>
  flight.launch(disk.start('agent/main.ts', ['run', '--config', flight.configFile]))

/** With the state on a disk of each kind. */
for (const kind of ['tmpfs', 'ext4'] as const)
  describe.skipIf(!mayMount(kind))(`others fill the disk, a ${kind}`, () => {
    test('while the agent runs: what waits is delivered, and then the rest is', async () => {
      await using flight = await Flight.start({ settings })
      await using disk = await withQueue(flight, kind)
      await disk.fill('ballast')
      await flight.append('later.bin', later)
      await flight.statusUntil(({ queue }) => queue.state.is === 'blocked')
      flight.link.restore()
      await flight.land()
      await flight.expectWhole()
      expect(flight.agent?.lines.join('\n')).toContain('reserveGivenUp')
      expect(await readdir(disk.path())).toContain('reserve')
    })

    test('before the agent starts: it starts, delivers what waits, and with that has room for what comes', async () => {
      await using flight = await Flight.start({ settings })
      await using disk = await withQueue(flight, kind)
      await flight.killAgent()
      await disk.fill('ballast')
      await flight.append('later.bin', later)
      const agent = await startOn(disk, flight)
      await flight.statusUntil(({ queue }) => queue.state.is === 'blocked')
      expect(agent.lines.join('\n')).toContain('reserveGivenUp')
      flight.link.restore()
      await flight.land()
      await flight.expectWhole()
      expect(await readdir(disk.path())).toContain('reserve')
    })

    test('before the agent starts, and its reserve is gone: it says so with 74, and starts when there is room', async () => {
      await using flight = await Flight.start({ settings })
      await using disk = await withQueue(flight, kind)
      await flight.killAgent()
      await rm(disk.path('reserve'))
      await disk.fill('ballast')
      const refused = disk.start('agent/main.ts', ['run', '--config', flight.configFile])
      const { status, stderr } = await refused.ended()
      expect(stderr).toContain('check the disk')
      expect(status).toBe(74)
      await rm(disk.path('ballast'))
      await startOn(disk, flight)
      flight.link.restore()
      await flight.land()
      await flight.expectWhole()
    })
  })
