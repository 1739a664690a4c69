import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { Program, run } from '../kit/program.ts'

describe('an agent that is told to stop', () => {
  test('delivers what it has when there is a link, and exits 0', async () => {
    await using flight = await Flight.start({
      settings: { chunks: { maxAge: '1h' }, shutdownGrace: '5m' },
    })
    await flight.startAgent()
    await flight.append('a.log', 'read, not cut, not sent\n')
    await flight.statusUntil(({ totals }) => totals.readBytes > 0)
    expect(await flight.stopAgent()).toEqual({ status: 0, signal: null })
    await flight.expectWhole()
  })

  test('gives up after shutdownGrace when there is no link, exits 0, and delivers it the next time', async () => {
    await using flight = await Flight.start({
      settings: { chunks: { maxAge: '1h' }, shutdownGrace: '300ms' },
    })
    flight.link.cut()
    await flight.startAgent()
    await flight.append('a.log', 'for the next flight\n')
    await flight.statusUntil(({ totals }) => totals.readBytes > 0)
    const beganMs = performance.now()
    expect(await flight.stopAgent()).toEqual({ status: 0, signal: null })
    expect(performance.now() - beganMs).toBeLessThan(60_000)
    expect(flight.agent?.lines.at(-1)).toMatch(/agentStopped queuedRecords=1/)
    flight.link.restore()
    await flight.startAgent()
    await flight.land()
    await flight.expectWhole()
    await flight.expectQueueEmpty()
  })

  test('twice leaves at once, and nothing is lost', async () => {
    await using flight = await Flight.start({ settings: { shutdownGrace: '1h' } })
    flight.link.cut()
    await flight.append('a.log', 'no time to say goodbye\n')
    const agent = await flight.startAgent()
    await flight.statusUntil(({ queue }) => queue.records > 0)
    agent.signal('SIGTERM')
    agent.signal('SIGINT')
    expect(await agent.exited).toEqual({ status: 0, signal: null })
    flight.link.restore()
    await flight.startAgent()
    await flight.land()
    await flight.expectWhole()
  })
})

describe('an agent that is told to stop while it starts', () => {
  test.each(['state', 'state/holder', 'state/epoch'])(
    'as soon as there is %s exits 0, and what stood in the files is delivered the next time',
    async (milestone) => {
      await using flight = await Flight.start()
      await flight.append('a.log', 'before the start\n')
      await using agent = Program.start('agent/main.ts', ['run', '--config', flight.configFile])
      while (!existsSync(join(flight.folder, milestone))) await sleep(1)
      agent.signal('SIGTERM')
      expect(await agent.exited).toEqual({ status: 0, signal: null })
      await flight.startAgent()
      await flight.land()
      await flight.expectWhole()
      await flight.expectQueueEmpty()
    },
  )
})

describe('flush exits with', () => {
  test('0 when everything has a receipt, 75 when time is up and names what is left, 69 without an agent', async () => {
    await using flight = await Flight.start()
    await flight.append('a.log', 'first\n')
    await flight.startAgent()
    const done = await flight.flush()
    expect(done).toMatchObject({ status: 0, report: { done: true, receiptedBytes: 6, queuedBytes: 0 } })
    flight.link.cut()
    await flight.append('a.log', 'second\n')
    await flight.statusUntil(({ totals }) => totals.queuedBytes === 7)
    const late = await flight.flush('300ms')
    expect(late.status).toBe(75)
    expect(late.report).toMatchObject({ done: false, receiptedBytes: 6, queuedBytes: 7 })
    expect(late.report.remaining).toMatchObject([
      { path: flight.path('a.log'), unreadBytes: 0, queuedBytes: 7 },
    ])
    await flight.killAgent()
    const { status, stderr } = await flight.agentCommand('flush')
    expect(status).toBe(69)
    expect(stderr).toMatch(/^logbox-agent: no agent is running at .*: start it with .*\n$/)
  })
})

// LB-085
test('a second agent on the same state exits 75 and says who holds it; the first goes on', async () => {
  await using flight = await Flight.start()
  const first = await flight.startAgent()
  const { status, stderr } = await run('agent/main.ts', [
    'run',
    '--config',
    flight.configFile,
    '--control',
    flight.path('../second.sock'),
  ])
  expect(status).toBe(75)
  expect(stderr).toContain(`in use by process ${first.pid}`)
  await flight.append('a.log', 'still here\n')
  await flight.land()
  await flight.expectWhole()
})
