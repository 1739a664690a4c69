import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandKeeper, fileKeeper } from '../../agent/deliver/gate-keepers.ts'
import { Gate, type GateKeeper } from '../../agent/deliver/gate.ts'
import { realWorld } from '../../agent/world.ts'
import { askUntil } from '../kit/ask-until.ts'
import { DeliveryKit, seqsOf } from '../kit/delivery-kit.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { never } from '../kit/queue-kit.ts'
import { tempFolder } from '../kit/temp-folder.ts'

/** One that a test opens and closes. */
class Latch implements GateKeeper {
  readonly everyMs = 200
  why: string | undefined
  looks = 0
  /** A look that has begun does not end before this. */
  busy: Promise<void> = Promise.resolve()

  async closedBy(): Promise<string | undefined> {
    this.looks++
    await this.busy
    return this.why
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

describe('a gate', () => {
  test('that closes ends what is under way within a second; when it opens, the server is asked what it has', async () => {
    await using kit = await DeliveryKit.start(['one\n', 'two\n'])
    const latch = new Latch()
    const delivery = kit.run({ gate: new Gate([latch], kit.world.clock) })
    const sent = await kit.chunks()
    latch.why = 'the autopilot is armed'
    const closedMs = kit.world.clock.monotonicMs()
    while (!sent.signal.aborted) await kit.world.clock.skip()
    expect(kit.world.clock.monotonicMs() - closedMs).toBeLessThan(1000)
    await kit.world.told.told('deliveryHeld')
    expect(delivery.report).toEqual({ is: 'held', why: 'the autopilot is armed' })
    await kit.append('three\n')
    latch.why = undefined
    await kit.world.clock.skip()
    const question = await kit.question()
    expect(seqsOf(question)).toEqual([0, 1])
    kit.store(question, (seq) => seq === 0)
    for (let time = 2; kit.queue.ledger.records > 0; time++) {
      kit.store(await kit.chunks(time))
      await kit.world.told.told('forgotten', time)
    }
    expect(kit.world.told.named('deliveryFailed')).toEqual([])
  })

  test('that is closed from the start lets nothing out, not even a question, and is not looked at when nothing waits', async () => {
    await using kit = await DeliveryKit.start([])
    const latch = new Latch()
    latch.why = 'closed'
    kit.run({ gate: new Gate([latch], kit.world.clock) })
    // Delivery begins with the same.
    for (const name of ['capabilities', 'stores', 'stores'] as const) await kit.queue.recall(name)
    expect(latch.looks).toBe(0)
    await kit.append('one\n')
    await kit.world.told.told('deliveryHeld')
    for (let times = 0; times < 5; times++) await kit.world.clock.skip()
    expect(kit.link.asked).toEqual([])
    latch.why = undefined
    await kit.world.clock.skip()
    kit.store(await kit.chunks())
    await kit.emptied()
  })

  test('that closes as the last receipt comes holds nothing, and says so', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    const latch = new Latch()
    const delivery = kit.run({ gate: new Gate([latch], kit.world.clock) })
    const sent = await kit.chunks()
    const { promise, resolve } = Promise.withResolvers<void>()
    latch.busy = promise
    latch.why = 'the autopilot is armed'
    while (latch.looks < 2) await kit.world.clock.skip()
    kit.store(sent)
    await kit.emptied()
    resolve()
    // A turn of the disk is longer than any that the answer takes.
    await kit.queue.recall('stores')
    expect(delivery.report).toEqual({ is: 'idle' })
  })

  test('is closed by one keeper while another is still looking', async () => {
    const [slow, armed] = [new Latch(), new Latch()]
    slow.busy = Promise.withResolvers<void>().promise
    armed.why = 'armed'
    expect(await new Gate([slow, armed], new FakeClock()).closedBy(never)).toBe('armed')
  })

  test('goes by the last answer of a slow keeper, until that is too old', async () => {
    const clock = new FakeClock()
    const slow = Object.assign(new Latch(), { everyMs: 5000 })
    const gate = new Gate([slow], clock)
    expect(await gate.closedBy(never)).toBeUndefined()
    const { promise, resolve } = Promise.withResolvers<void>()
    slow.busy = promise
    slow.why = 'slow'
    clock.advance(5000)
    const early = gate.closedBy(never)
    expect(await clock.skip()).toBe(100)
    expect(await early).toBeUndefined()
    clock.advance(5000)
    const late = gate.closedBy(never)
    expect(clock.nextMs).toBeUndefined()
    resolve()
    expect(await late).toBe('slow')
    expect(slow.looks).toBe(2)
  })

  test('does not take the end of whoever asks for an answer', async () => {
    const slow = Object.assign(new Latch(), { everyMs: 5000 })
    const { promise, resolve } = Promise.withResolvers<void>()
    slow.busy = promise
    const gate = new Gate([slow], new FakeClock())
    const asker = new AbortController()
    const asked = gate.closedBy(asker.signal)
    asker.abort()
    expect(await asked).toBeUndefined()
    slow.why = 'slow'
    resolve()
    expect(await gate.closedBy(never)).toBe('slow')
    expect(slow.looks).toBe(1)
  })

  test('asks each of its keepers no more often than it wants, and is closed by any of them', async () => {
    const clock = new FakeClock()
    const [eager, slow] = [new Latch(), Object.assign(new Latch(), { everyMs: 5000 })]
    const gate = new Gate([eager, slow], clock)
    for (let times = 0; times < 50; times++) {
      await gate.closedBy(never)
      clock.advance(gate.everyMs)
    }
    expect([eager.looks, slow.looks]).toEqual([50, 3])
    slow.why = 'slow'
    clock.advance(5000)
    expect(await gate.closedBy(never)).toBe('slow')
  })
})

test('a file holds delivery back while it is there, and one that cannot be looked for as well', async () => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'armed')
  const keeper = fileKeeper(path, realWorld().files)
  expect(await keeper.closedBy(never)).toBeUndefined()
  await writeFile(path, '')
  expect(await keeper.closedBy(never)).toBe(`${path} is there`)
  await rm(path)
  expect(await keeper.closedBy(never)).toBeUndefined()
  const refusing = { facts: () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })) }
  expect(await fileKeeper(path, refusing).closedBy(never)).toContain('EACCES')
})

test.each([
  ['true', undefined, 60_000],
  ['exit 3', '"exit 3" ended with 3', 60_000],
  ['no-such-command', '"no-such-command" ended with 127', 60_000],
  ['sleep 60', '"sleep 60" did not end in time', 300],
])('the command "%s" says of delivery: %s', async (command, why, timeoutMs) => {
  expect(await commandKeeper(command, realWorld().clock, timeoutMs).closedBy(never)).toBe(why)
})

/** What is in the file, once something is. */
function written(path: string): Promise<string> {
  return askUntil(
    () => readFile(path, 'utf8').catch(() => ''),
    (text) => text !== '',
  )
}

describe('a command that does not end', () => {
  test('is killed with what it started, and is not run a second time before it is gone', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'started')
    const command = `sleep 60 & echo $! >> ${path}; wait; true`
    const clock = new FakeClock()
    const keeper = commandKeeper(command, clock, 300)
    const late = keeper.closedBy(never)
    await written(path)
    clock.advance(300)
    expect(await late).toContain('did not end in time')
    expect(await keeper.closedBy(never)).toContain('did not end in time')
    const pids = (await readFile(path, 'utf8')).trim().split('\n')
    expect(pids).toHaveLength(1)
    await expect.poll(() => isAlive(pids[0])).toBe(false)
  })

  test('is killed when nobody wants to know any more', async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, 'started')
    const { clock } = realWorld()
    const gate = new Gate(
      [commandKeeper(`echo $$ > ${path}.new; mv ${path}.new ${path}; sleep 60`, clock)],
      clock,
    )
    const stopping = new AbortController()
    const asked = gate.closedBy(stopping.signal)
    const pid = (await written(path)).trim()
    stopping.abort()
    await asked
    await gate[Symbol.asyncDispose]()
    await expect.poll(() => isAlive(pid)).toBe(false)
  })
})

/** What was killed may stand in the table of processes until somebody asks for its end. */
async function isAlive(pid: string | undefined): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State:\tX')
  return !/^State:\t[XZ]/m.test(status)
}
