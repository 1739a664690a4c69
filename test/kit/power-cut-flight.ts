import { Capture } from '../../agent/capture/capture.ts'
import { flush } from '../../agent/control/flush.ts'
import { Delivery } from '../../agent/deliver/deliver.ts'
import type { Answer, Link, Sluice } from '../../agent/deliver/link.ts'
import type { Arrival } from '../../agent/queue/arrival.ts'
import { Queue } from '../../agent/queue/queue.ts'
import type { ResumePoint } from '../../agent/queue/resume-point.ts'
import { TaskGroup } from '../../agent/task-group.ts'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, type DeviceId, type StreamId } from '../../protocol/ids.ts'
import { makeSigner } from './drone.ts'
import { PowerCutDisk } from './power-cut-disk.ts'
import { MemoryServer } from './power-cut-server.ts'
import { makeFolders, PowerCutWorld } from './power-cut-world.ts'
import { PowerCutWriter } from './power-cut-writer.ts'
import type { Seeded } from './seeded.ts'

const device = 'hexa-7' as DeviceId
const never = new AbortController().signal
/** Far more than the slowest flight needs. */
const mostTurns = 50_000

/** What the queue said it has taken. */
export interface Taken {
  readonly stream: StreamId
  readonly offset: number
  readonly sha256: string
}

export interface FlightOptions {
  /** Of the queue: a small one is full now and then, and has many segments. */
  readonly maxBytes: number
  readonly chunkBytes: number
  readonly format: 'text' | 'binary'
}

/** A drone whose power goes, again and again, in the midst of whatever its agent does. */
export class PowerCutFlight implements AsyncDisposable {
  readonly server: MemoryServer
  readonly writer: PowerCutWriter
  readonly taken: Taken[] = []
  /** Which file each stream is of, by its inode. */
  readonly inodes = new Map<StreamId, string>()
  /** Of all lives together. */
  operations = 0
  readonly #chance: Seeded
  readonly #options: FlightOptions
  readonly signer: Signer
  readonly #disk = new PowerCutDisk()

  static async start(chance: Seeded, options: FlightOptions): Promise<PowerCutFlight> {
    const signer = makeSigner()
    const server = await MemoryServer.start(device, signer.publicKey)
    return new PowerCutFlight(chance, options, signer, server)
  }

  private constructor(chance: Seeded, options: FlightOptions, signer: Signer, server: MemoryServer) {
    this.#chance = chance
    this.#options = options
    this.signer = signer
    this.server = server
    for (const path of [['var', 'lib'], ['logs']]) makeFolders(this.#disk, path)
    this.#disk.keepAllNames()
    this.writer = new PowerCutWriter(this.#disk, chance)
  }

  /** The agent runs while files are written, until the power goes with its operation of this number. */
  async flyUntil(operation: number): Promise<void> {
    const life = new Life(this, new PowerCutWorld(this.#disk, this.#chance, operation))
    await life.turnUntil(
      () => life.world.isCut,
      () => this.#chance.below(6) === 0 && this.writer.act(),
    )
    this.operations += life.world.operations
    this.writer.through(() => this.#disk.cut(this.#chance))
  }

  /** A life without a cut, until everything that survived has its receipt. */
  async land(): Promise<void> {
    const life = new Life(this, new PowerCutWorld(this.#disk, this.#chance, Infinity))
    await life.turnUntil(
      () => life.isLanded,
      () => undefined,
    )
    this.operations += life.world.operations
  }

  async openQueue(world: PowerCutWorld): Promise<Queue> {
    const options = { device, stateDirectory: '/var/lib/logbox', maxBytes: this.#options.maxBytes }
    const queue = await Queue.open(options, this.signer, world)
    const append = queue.append.bind(queue)
    queue.append = async (arrival, signal) => {
      if (arrival.resume && arrival.resume !== 'stays') this.#note(arrival.resume)
      const isTaken = await append(arrival, signal)
      if (isTaken && arrival.kind === 'data') this.taken.push(takenOf(arrival))
      return isTaken
    }
    const setResumePoint = queue.setResumePoint.bind(queue)
    queue.setResumePoint = (point) => {
      this.#note(point)
      return setResumePoint(point)
    }
    return queue
  }

  #note({ stream, identity }: ResumePoint): void {
    this.inodes.set(stream, identity.inode)
  }

  /** The way to the server; now and then it breaks, before the server has heard all or after. */
  link(world: PowerCutWorld): Link {
    const breaks = (): boolean => this.#chance.below(8) === 0
    return {
      send: async ({ path, body = new Uint8Array(0), sluice }, signal) => {
        // A server that knows nothing but batches: what a cut leaves in doubt is sent again.
        if (path !== paths.chunks) return unknownHere
        const sent = Uint8Array.from(body)
        await letGo(sent.length, sluice, signal)
        const cut: Answer = { is: 'cut', code: 'ECONNRESET', why: 'the link broke', sentBytes: sent.length }
        await world.operate(() => undefined)
        if (breaks()) return cut
        const answer = await this.server.answer(sent)
        await world.operate(() => undefined)
        return breaks() ? cut : answer
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
  }

  get captureOptions(): ConstructorParameters<typeof Capture>[0] {
    const { chunkBytes } = this.#options
    const chunks = { maxBytes: chunkBytes, catchUpBytes: chunkBytes * 2, maxAgeMs: 5000 }
    const source = {
      paths: [this.writer.glob],
      exclude: [],
      format: this.#options.format,
      tags: new Map<string, string>(),
      priority: 'normal',
      startAt: 'beginning',
      ignoreOlderMs: undefined,
      closeAfterMs: 60_000,
    } as const
    return { sources: [source], chunks, rescanMs: 3000, maxOpenFiles: 3 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]()
  }
}

const unknownHere: Answer = {
  is: 'answered',
  status: 404,
  mediaType: mediaTypes.problem,
  body: new Uint8Array(0),
  retryAfterMs: undefined,
}

async function letGo(bytes: number, sluice: Sluice | undefined, signal: AbortSignal): Promise<void> {
  if (!sluice) return
  for (let gone = 0; gone < bytes;) {
    const count = await sluice.take(bytes - gone, signal)
    if (count === 0) return
    gone += count
    sluice.left(count)
  }
}

function takenOf({ label, offset, body }: Extract<Arrival, { kind: 'data' }>): Taken {
  return { stream: label.stream, offset, sha256: base64url(body.sha256) }
}

/** The agent from power-on on. */
class Life {
  readonly world: PowerCutWorld
  isLanded = false
  #failure: { readonly cause: unknown } | undefined

  constructor(flight: PowerCutFlight, world: PowerCutWorld) {
    this.world = world
    this.#run(flight).catch((cause: unknown) => {
      this.#failure = { cause }
    })
  }

  async #run(flight: PowerCutFlight): Promise<void> {
    const { world } = this
    const queue = await flight.openQueue(world)
    const sending = { requestMaxBytes: 20_000, retry: { minMs: 500, maxMs: 4000 } }
    const pinned = [flight.server.signer.publicKey]
    const { signer } = flight
    const delivery = new Delivery(queue, flight.link(world), world, { ...sending, pinned, signer })
    const capture = new Capture(flight.captureOptions, queue, world, never)
    const tasks = new TaskGroup()
    tasks.start((signal) => delivery.run(signal))
    tasks.start((signal) => capture.run(signal))
    const running = { version: '', server: '', capture, queue, delivery }
    tasks.start(async () => {
      if (!Number.isFinite(world.cutAt)) await this.#land(flight, running)
    })
    await tasks.ended()
  }

  /** A file that was renamed is read once more when it stood still, for which no flush waits: what differs has the next one. */
  async #land({ taken }: PowerCutFlight, running: Parameters<typeof flush>[0]): Promise<void> {
    for (let before = -1; before < taken.length;) {
      before = taken.length
      for await (const { done } of flush(running, this.world, Infinity, never)) if (done) break
    }
    this.isLanded = true
  }

  async turnUntil(isOver: () => boolean, between: () => unknown): Promise<void> {
    for (let turns = 0; !isOver(); turns++) {
      if (this.#failure) throw this.#failure.cause
      if (turns === mostTurns) throw new Error('the agent comes to no end')
      between()
      await this.world.turn()
    }
  }
}
