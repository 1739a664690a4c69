import { spawnSync } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { Program, programFile } from '../kit/program.ts'
import { Seeded } from '../kit/seeded.ts'

const mayMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
if (!mayMount) console.warn('skipped the full disk: this user may not mount a small one')

const ballast = 'ballast'
/** $1: where the small disk goes, $2: its bytes, $3: how many of them are taken, then the program. */
const onSmallDisk = `
  mount -t tmpfs -o size=$2 tmpfs "$1"
  head -c $3 /dev/zero >"$1/${ballast}"
  shift 3
  exec "$@"`

/** The agent, whose state is on a disk of 8 MiB of which so many bytes are taken. */
async function launchOnDisk(flight: Flight, takenBytes: number): Promise<Program> {
  await mkdir(flight.state)
  const disk = ['sh', flight.state, String(8 << 20), String(takenBytes)]
  const agent = [process.execPath, programFile('agent/main.ts'), 'run', '--config', flight.configFile]
  return flight.launch(Program.spawn('unshare', ['-m', 'sh', '-c', onSmallDisk, ...disk, ...agent]))
}

const settings = { shutdownGrace: '200ms', queue: { maxBytes: '64MiB', minFree: '0' } }

// LB-089
test.skipIf(!mayMount)(
  'a full disk stops the queue, not the agent, which says so and goes on when there is room',
  async () => {
    await using flight = await Flight.start({ settings })
    flight.link.cut()
    const agent = await launchOnDisk(flight, 5 << 20)
    const content = new Seeded(1).bytes(6 << 20)
    await flight.append('blackbox.bin', content)
    const full = await flight.statusUntil(({ queue }) => queue.state.is === 'blocked')
    expect(full.queue.state).toMatchObject({ why: expect.stringContaining('ENOSPC') })
    expect(agent.lines.join('\n')).toMatch(/queueBlocked why=.*ENOSPC/)
    const status = await flight.agentCommand('status')
    expect(status.stdout).toContain('the disk refuses')
    // From outside, the small disk is seen only through the process that has it.
    await rm(join('/proc', String(agent.pid), 'root', flight.state, ballast))
    await flight.statusUntil(({ queue }) => queue.state.is === 'open')
    flight.link.restore()
    await flight.land()
    await flight.expectWhole()
    expect(await flight.stopAgent()).toEqual({ status: 0, signal: null })
  },
)

test.skipIf(!mayMount)('an agent on a full disk stops when it is told to', async () => {
  await using flight = await Flight.start({ settings })
  flight.link.cut()
  await launchOnDisk(flight, 6 << 20)
  await flight.append('blackbox.bin', new Seeded(1).bytes(4 << 20))
  await flight.statusUntil(({ queue }) => queue.state.is === 'blocked')
  expect(await flight.stopAgent()).toEqual({ status: 0, signal: null })
})
