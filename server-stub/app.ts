import { fastify, type FastifyInstance } from 'fastify'
import { Fault } from '../protocol/fault.ts'
import type { ServerConfig, ServerLimits } from './config.ts'
import { serverFault } from './faults.ts'
import { capabilityRoutes } from './http/capabilities.ts'
import { chunkRoutes } from './http/chunks.ts'
import { answerErrors, answerNoRequest } from './http/errors.ts'
import { healthRoutes } from './http/health.ts'
import { metricsRoutes } from './http/metrics.ts'
import { sendProblem } from './http/problem.ts'
import { queryRoutes } from './http/queries.ts'
import { adoptBlobs } from './ingest/adopt.ts'
import { Running, type RunningLimits } from './ingest/running.ts'
import { Settler } from './ingest/settle.ts'
import type { Parts } from './parts.ts'

/** Serves until the signal fires: adopts what a crash left, listens, and stops when what is in flight is done. */
export async function runServer(config: ServerConfig, parts: Parts, signal: AbortSignal): Promise<void> {
  const settler = new Settler(parts)
  const agrees = await adoptBlobs(parts)
  await parts.catalog.keepSetting('agrees', 'no')
  const running = new Running(config.limits, parts.clock)
  const asking = new Running(queryLimits(config.limits), parts.clock)
  const app = buildApp(parts, { settler, running, asking }, config.limits)
  parts.journal.listening(await listen(app, config))
  await aborted(signal)
  await stop(app, parts, config.limits)
  // A client that left does not end what it began.
  await Promise.all([running.ended(), asking.ended()])
  if (agrees && !settler.hasLeftovers) await noteAgreement(parts)
  parts.journal.stopped()
}

/** Where the disk takes no more, the next start looks for records that the catalog does not know: that costs only time. */
async function noteAgreement({ catalog, journal }: Parts): Promise<void> {
  try {
    await catalog.keepSetting('agrees', 'yes')
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    journal.failed('STORE_UNWRITABLE', error.message)
  }
}

interface Work {
  readonly settler: Settler
  /** Batches. */
  readonly running: Running
  /** Queries, which never wait for batches: a drone asks in order not to send. */
  readonly asking: Running
}

function queryLimits(limits: ServerLimits): RunningLimits {
  return { ...limits, maxRequests: limits.maxQueries, maxPerDevice: limits.maxQueriesPerDevice }
}

/** The HTTP side as a value: it listens when it is told to. */
function buildApp(parts: Parts, { settler, running, asking }: Work, limits: ServerLimits): FastifyInstance {
  const app = fastify({
    logger: false,
    connectionTimeout: limits.idleMs,
    // Node would answer without a body; http/errors.ts says what is missing.
    http: { headersTimeout: limits.headersMs, requireHostHeader: false },
    // No limit on the whole of a request: an upload over a slow link may take hours.
    requestTimeout: 0,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: answerNoRequest,
    frameworkErrors: (_error, _request, reply) => void sendProblem(reply, 'REQUEST_MALFORMED'),
  })
  app.removeAllContentTypeParsers()
  answerErrors(app, parts.journal)
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) => {
    const route = routeOptions.url ?? 'unknown'
    parts.journal.requestEnded({ method, route, status: statusCode, durationMs: elapsedTime })
  })
  // Each is a file: more would leave none for the records.
  app.server.maxConnections = limits.maxConnections
  const { settleMs, maxQueryReadBytes: maxReadBytes, maxQueryRows } = limits
  const working = { ...parts, settler, settleMs, maxReadBytes, maxQueryRows }
  void app.register(chunkRoutes, { parts: working, running, limits })
  void app.register(queryRoutes, { parts: working, running: asking, limits })
  void app.register(capabilityRoutes, { storeId: parts.storeId })
  void app.register(healthRoutes, { parts, limits })
  void app.register(metricsRoutes, { metrics: parts.metrics })
  return app
}

async function listen(app: FastifyInstance, { host, port }: ServerConfig): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw serverFault('PORT_UNAVAILABLE', `cannot listen on ${host}:${port} (${why})`, { cause })
  }
}

/** Waits for what is in flight, and at the end of its patience cuts it off: whole records are kept even then. */
async function stop(app: FastifyInstance, { clock }: Parts, { stopGraceMs }: ServerLimits): Promise<void> {
  const closed = new AbortController()
  const patience = clock.sleep(stopGraceMs, closed.signal).then(() => app.server.closeAllConnections())
  await app.close()
  closed.abort()
  await patience
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
