import type { FastifyInstance } from 'fastify'
import { paths } from '../../protocol/contract.ts'
import { Fault } from '../../protocol/fault.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import type { ServerLimits } from '../config.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { sendProblem } from './problem.ts'

interface HealthParts {
  readonly clock: Clock
  readonly store: BlobStore
  readonly catalog: Catalog
}

/** GET /healthz: alive. GET /readyz: able to store, found by storing something. */
export async function healthRoutes(
  app: FastifyInstance,
  { parts, limits }: { parts: HealthParts; limits: ServerLimits },
): Promise<void> {
  const readiness = new Readiness(parts, limits.readyMs)
  app.get(paths.health, async () => ({ status: 'alive' }))
  app.get(paths.ready, async (_request, reply) => {
    const trouble = await readiness.trouble()
    if (trouble === undefined) return { status: 'ready' }
    return sendProblem(reply, 'NOT_READY', limits.retryAfterSeconds)
  })
}

/** Asks the disk at most once in a while, however often it is asked. */
class Readiness {
  readonly #parts: HealthParts
  readonly #keepMs: number
  #askedMs = Number.NEGATIVE_INFINITY
  #found: Promise<string | undefined> = Promise.resolve(undefined)

  constructor(parts: HealthParts, keepMs: number) {
    this.#parts = parts
    this.#keepMs = keepMs
  }

  trouble(): Promise<string | undefined> {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#askedMs < this.#keepMs) return this.#found
    this.#askedMs = nowMs
    this.#found = troubleOf(this.#parts)
    return this.#found
  }
}

async function troubleOf({ store, catalog }: HealthParts): Promise<string | undefined> {
  try {
    // First, because the store would make a folder that is gone anew.
    await catalog.soundDevices()
    await store.probe()
    return undefined
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}
