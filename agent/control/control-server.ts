import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import type { Clock } from '../clock.ts'
import { agentFault } from '../faults.ts'
import { makeFolders } from '../make-folders.ts'
import type { World } from '../world.ts'
import { flush } from './flush.ts'
import { controlPaths } from './report.ts'
import { tellStatus, type Running } from './tell-status.ts'

/** Who may talk to the agent: its user and its group. */
const socketMode = 0o660
/** As it is for folders under /run; the socket says who may come in. */
const folderMode = 0o755
const defaultFlushMs = 60_000
const lastWordsMs = 1000

/**
 * Answers `status` and `flush` over HTTP on a unix socket. A socket that a killed agent left behind is replaced; the lock
 * on the state has told before that nobody uses it.
 */
export async function openControl(path: string, running: Running, world: World): Promise<AsyncDisposable> {
  const stopping = new AbortController()
  const server = createServer((asked, answer) => {
    // To say what the date is, V8 asks ICU for all names of the time zone: a MiB.
    answer.sendDate = false
    answerTo(asked, answer, running, world, stopping.signal).catch((cause: unknown) =>
      answer.destroy(cause as Error),
    )
  })
  try {
    makeFolders(dirname(path), folderMode)
    await removeStale(path)
    await listen(server, path)
    await chmod(path, socketMode)
  } catch (cause) {
    throw agentFault('CONTROL_UNUSABLE', `no control socket at ${path}`, { cause })
  }
  return {
    [Symbol.asyncDispose]: async () => {
      stopping.abort()
      await close(server, world.clock)
    },
  }
}

async function answerTo(
  asked: IncomingMessage,
  answer: ServerResponse,
  running: Running,
  world: World,
  stopping: AbortSignal,
): Promise<void> {
  const { pathname, searchParams } = new URL(asked.url ?? '/', 'http://agent')
  if (asked.method === 'GET' && pathname === controlPaths.status) return answerStatus(answer, running)
  if (asked.method !== 'POST' || pathname !== controlPaths.flush) return void answer.writeHead(404).end()
  const timeoutMs = Number(searchParams.get('timeoutMs') ?? defaultFlushMs)
  if (!Number.isFinite(timeoutMs) || timeoutMs < 0) return void answer.writeHead(400).end()
  await answerFlush(answer, running, world, timeoutMs, stopping)
}

function answerStatus(answer: ServerResponse, running: Running): void {
  answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(tellStatus(running)))
}

async function answerFlush(
  answer: ServerResponse,
  running: Running,
  world: World,
  timeoutMs: number,
  stopping: AbortSignal,
): Promise<void> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort()
  stopping.addEventListener('abort', leave)
  answer.on('close', leave)
  answer.writeHead(200, { 'content-type': 'application/x-ndjson' })
  for await (const report of flush(running, world, timeoutMs, leaving.signal)) {
    answer.write(`${JSON.stringify(report)}\n`)
  }
  stopping.removeEventListener('abort', leave)
  answer.end()
}

/** Removes what a killed agent left behind. Anything but a socket that nobody listens on stays, and listening then fails. */
async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats?.isSocket() && !(await isAnswered(path))) await unlink(path)
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request({ socketPath: path, path: controlPaths.status })
    probe.on('error', (cause: NodeJS.ErrnoException) => resolve(cause.code !== 'ECONNREFUSED'))
    probe.on('response', (answer) => {
      answer.destroy()
      resolve(true)
    })
    probe.end()
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}

/** A flush that is being answered gets its last line; a client that says or reads nothing holds nobody up. */
async function close(server: Server, clock: Clock): Promise<void> {
  const closed = new AbortController()
  server.close(() => closed.abort())
  server.closeIdleConnections()
  await clock.sleep(lastWordsMs, closed.signal)
  server.closeAllConnections()
}
