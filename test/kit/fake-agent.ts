import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { FlushReport } from '../../agent/control/report.ts'
import { tempFolder } from './temp-folder.ts'

/** What an agent answers to each path. */
type Answers = Readonly<Record<string, (answer: ServerResponse) => void>>

/** Something that answers on a control socket as an agent would, or would not. */
export async function fakeAgent(answers: Answers): Promise<AsyncDisposable & { readonly socket: string }> {
  await using disposal = new AsyncDisposableStack()
  const socket = join(disposal.use(await tempFolder()).path, 'agent.sock')
  const server = createServer((asked, answer) => {
    const [path = ''] = (asked.url ?? '').split('?')
    const reply = answers[`${asked.method} ${path}`]
    if (reply) reply(answer)
    else answer.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  disposal.defer(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  })
  const opened = disposal.move()
  return { socket, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

export const flushing = (...reports: readonly FlushReport[]): Answers => ({
  'POST /flush': (answer) => answer.end(reports.map((line) => `${JSON.stringify(line)}\n`).join('')),
})

export const telling = (value: unknown): Answers => ({
  'GET /status': (answer) => answer.end(typeof value === 'string' ? value : JSON.stringify(value)),
})
