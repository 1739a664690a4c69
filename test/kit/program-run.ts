import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { notLookedInto } from '../../agent/control/flush.ts'
import { realWorld, type World } from '../../agent/world.ts'
import { FileModel, type ModelFile } from './file-model.ts'
import { whyImpossible } from './file-model-judge.ts'
import { damageFile } from './program-damage.ts'
import { linkSlots, slots, type Damage, type Step } from './program-steps.ts'
import { Sortie } from './sortie.ts'
import { UniqueBytes } from './unique-bytes.ts'

/** How many times as fast the agent's clock runs. */
const haste = 50
/** Of the agent's time: three minutes of ours. Who is not done by then hangs, on a busy machine too. */
const landMs = 180_000 * haste
const settleMs = 120_000
const settings = {
  delivery: { requestMaxBytes: '128KiB', requestTimeout: '10m', retry: { min: '10ms', max: '100ms' } },
  rescanInterval: '5s',
}

/** What `verify` finds where places of the chain are gone from index and segments, and are taken again. */
const isOfShattering = /"code":"(?:GAP|FORK|CHAIN_BROKEN)"/
/** And where a file that was cut went on in its stream: its end and the older one behind it are not what it was closed with. */
const isOfUnheard = /"code":"CONTENT_WRONG"/

/** What a program came to. */
export interface ProgramCounts {
  programs: number
  steps: number
  /** Written by the programs' writers. */
  bytes: number
  streams: number
  losses: number
  kills: number
  damages: number
}

export function noProgramCounts(): ProgramCounts {
  return { programs: 0, steps: 0, bytes: 0, streams: 0, losses: 0, kills: 0, damages: 0 }
}

/** Runs a program on a sortie and on the model of it. Throws where the server does not have what it must. */
export async function runProgram(program: readonly Step[], counts: ProgramCounts): Promise<void> {
  const air = { jumpMs: 0 }
  await using sortie = await Sortie.start({ haste, settings, world: jumpyWorld(air) })
  const run = new ProgramRun(sortie, air, counts)
  await run.begin()
  for (const step of program) await run.take(step)
  await run.end()
  counts.programs++
  counts.steps += program.length
}

function jumpyWorld(air: { readonly jumpMs: number }): World {
  const world = realWorld()
  return { ...world, clock: { ...world.clock, wallMs: () => Math.max(0, world.clock.wallMs() + air.jumpMs) } }
}

class ProgramRun {
  readonly #sortie: Sortie
  readonly #air: { jumpMs: number }
  readonly #counts: ProgramCounts
  readonly #model = new FileModel()
  readonly #bytes = new UniqueBytes()
  #isRunning = false

  constructor(sortie: Sortie, air: { jumpMs: number }, counts: ProgramCounts) {
    this.#sortie = sortie
    this.#air = air
    this.#counts = counts
  }

  async begin(): Promise<void> {
    await mkdir(this.#sortie.path('sub'))
    await mkdir(this.#sortie.path('../out'))
    await this.#create(slots[0], { bytes: 3000, hasCommonHead: true })
    await this.#start()
  }

  /** Takes a step, in the world and in the model; one that does not fit is none. */
  async take(step: Step): Promise<void> {
    if ('file' in step) return this.#takeWithFile(step)
    switch (step.do) {
      case 'create':
        return this.#create(slotAt(step.slot), step)
      case 'start':
        return this.#start()
      case 'stop':
        return this.#stop(() => this.#sortie.agent.stop())
      case 'kill':
        return this.#kill()
      case 'linkDown':
        return this.#sortie.linkDown()
      case 'linkUp':
        return this.#sortie.linkUp()
      case 'look':
        return this.#look()
      case 'damage':
        return this.#damage(step.what, step.at)
      case 'jump':
        this.#air.jumpMs = step.ms
    }
  }

  async #takeWithFile(step: Extract<Step, { file: number }>): Promise<void> {
    const names = this.#model.fileNames
    const name = names[step.file % Math.max(1, names.length)]
    const file = name === undefined ? undefined : this.#model.fileAt(name)
    if (name === undefined || !file) return
    switch (step.do) {
      case 'append':
        return this.#append(name, file, Buffer.concat([this.#bytes.piece(step.bytes), Buffer.from('\n')]))
      case 'appendPartialLine':
        return this.#append(name, file, this.#bytes.piece(step.bytes))
      case 'rename':
        return this.#rename(name, slotAt(step.slot))
      case 'copyTruncate':
        return this.#copyTruncate(name, file, slotAt(step.slot))
      case 'truncate':
        return this.#truncate(name, file, Math.floor((file.content.length * step.quarters) / 4))
      case 'refill':
        return this.#refill(name, file, step)
      case 'overwrite':
        return this.#overwrite(name, file, step)
      case 'unlink':
        await this.#sortie.remove(name)
        return this.#model.remove(name)
      case 'symlink':
        return this.#symlink(name, linkSlots[step.slot] ?? linkSlots[0])
      case 'hardLink':
        return this.#hardLink(name, file, slotAt(step.slot))
      case 'chmod':
        return chmod(this.#sortie.path(name), isRoot ? step.mode : step.mode | 0o444)
    }
  }

  /** Only root may write to what is read-only; another writer would still have it open. */
  async #makeWritable(name: string): Promise<void> {
    if (!isRoot) await chmod(this.#sortie.path(name), 0o644)
  }

  async #append(name: string, file: ModelFile, bytes: Buffer): Promise<void> {
    await this.#makeWritable(name)
    await this.#sortie.append(name, bytes)
    file.append(bytes)
  }

  async #create(
    name: string,
    step: Pick<Extract<Step, { do: 'create' }>, 'bytes' | 'hasCommonHead'>,
  ): Promise<void> {
    if (this.#model.names.has(name)) return
    const content = this.#bytes.beginning(step.bytes, step.hasCommonHead)
    await this.#sortie.write(name, content)
    this.#model.create(name, content)
  }

  async #rename(from: string, to: string): Promise<void> {
    // Of two names of one file, rename(2) leaves both.
    if (this.#model.fileAt(from) === this.#model.fileAt(to)) return
    await this.#sortie.rename(from, to)
    this.#model.rename(from, to)
  }

  async #copyTruncate(name: string, file: ModelFile, to: string): Promise<void> {
    if (this.#model.names.has(to)) return
    await this.#makeWritable(name)
    await this.#sortie.copy(name, to)
    this.#model.create(to, file.content)
    await this.#truncate(name, file, 0)
  }

  async #truncate(name: string, file: ModelFile, length: number): Promise<void> {
    await this.#makeWritable(name)
    await this.#sortie.truncate(name, length)
    file.cut(file.content.subarray(0, length))
  }

  async #refill(name: string, file: ModelFile, step: Extract<Step, { do: 'refill' }>): Promise<void> {
    const before = file.content.length
    const length = { smaller: Math.floor(before / 2), same: before, greater: before + 300 }[step.to]
    const content = this.#bytes.beginning(length, step.hasCommonHead).subarray(0, length)
    await this.#makeWritable(name)
    await this.#sortie.write(name, content)
    file.cut(content)
  }

  async #overwrite(name: string, file: ModelFile, step: Extract<Step, { do: 'overwrite' }>): Promise<void> {
    const at = Math.floor((file.content.length * step.quarters) / 4)
    const bytes = this.#bytes.piece(Math.min(step.bytes, file.content.length - at))
    if (bytes.length === 0) return
    await this.#makeWritable(name)
    await this.#sortie.patch(name, at, bytes)
    file.patch(bytes, at)
  }

  async #symlink(target: string, name: string): Promise<void> {
    await this.#sortie.symlink(target, name)
    this.#model.set(name, { is: 'link', to: target })
  }

  async #hardLink(name: string, file: ModelFile, to: string): Promise<void> {
    if (this.#model.names.has(to)) return
    await this.#sortie.hardLink(name, to)
    this.#model.set(to, { is: 'file', file })
  }

  async #start(): Promise<void> {
    if (this.#isRunning) return
    if (this.#sortie.isLinkDown) this.#model.startedUnheard()
    await this.#sortie.agent.start()
    this.#isRunning = true
  }

  async #stop(stop: () => Promise<void>): Promise<void> {
    if (!this.#isRunning) return
    this.#isRunning = false
    await stop()
    this.#model.agentEnded()
  }

  async #kill(): Promise<void> {
    if (this.#isRunning) this.#counts.kills++
    await this.#stop(() => this.#sortie.agent.kill())
  }

  /** Everything there is has been read and, where there is a link, delivered. */
  async #look(): Promise<void> {
    if (!this.#isRunning) return
    if (this.#sortie.isLinkDown) await this.#readAll()
    else await this.#sortie.land(landMs)
    this.#model.looked(!this.#sortie.isLinkDown)
  }

  async #readAll(): Promise<void> {
    const deadlineMs = performance.now() + settleMs
    for (;;) {
      const { unreadBytes, remaining = [] } = await this.#sortie.agent.flush(haste)
      if (unreadBytes === 0 && !remaining.some(({ trouble }) => trouble === notLookedInto)) return
      if (performance.now() > deadlineMs) throw new Error(`${unreadBytes} bytes are not read`)
    }
  }

  async #damage(what: Damage, at: number): Promise<void> {
    await this.#kill()
    const folder = join(this.#sortie.state, what.endsWith('Index') ? 'queue' : 'segments')
    if (what === 'deleteIndex') await rm(folder, { recursive: true, force: true })
    else if (!(await damageFile(folder, what.startsWith('flip'), at))) return
    this.#counts.damages++
    if (what.endsWith('Index')) this.#model.indexDamaged()
    else this.#model.segmentsDamaged()
  }

  /** Whatever the program left: the link comes back, an agent runs, the files are finished, and all of it is judged. */
  async end(): Promise<void> {
    this.#sortie.linkUp()
    await this.#start()
    await this.#look()
    for (const name of this.#model.names.keys())
      if (this.#model.fileAt(name)) await chmod(this.#sortie.path(name), 0o444)
    await this.#look()
    await this.#settle()
    await this.#sortie.agent.stop()
    const why = await this.#whyWrong()
    if (why !== undefined) throw new Error(`${why}\n${this.#sortie.showTold()}`)
    await this.#count()
  }

  /** A finished file is read once more, in the agent's own time. */
  async #settle(): Promise<void> {
    const deadlineMs = performance.now() + settleMs
    while (performance.now() < deadlineMs && (await this.#whyWrong()) !== undefined) await this.#look()
  }

  async #whyWrong(): Promise<string | undefined> {
    const streams = await this.#sortie.streams()
    const why = whyImpossible(this.#model, streams)
    if (why !== undefined) return why
    const findings = await this.#sortie.verify()
    const wrong = findings.filter((finding) => !this.#isOfDamage(finding))
    return wrong.length > 0 ? wrong.join('\n') : undefined
  }

  #isOfDamage(finding: string): boolean {
    const { isShattered, isUnheard } = this.#model
    return (isShattered && isOfShattering.test(finding)) || (isUnheard && isOfUnheard.test(finding))
  }

  async #count(): Promise<void> {
    const streams = await this.#sortie.streams()
    this.#counts.bytes += this.#bytes.made
    this.#counts.streams += streams.length
    this.#counts.losses += streams.reduce((sum, { losses }) => sum + losses.length, 0)
  }
}

const isRoot = process.getuid?.() === 0
const slotAt = (slot: number): string => slots[slot] ?? slots[0]
