/** The link's own limit: one raw TCP stream through it, as fast as it goes, for as long as one likes. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLossyLink, type LinkOptions, type LossyLink } from '../test/kit/lossy-link.ts'
import { SilentServer } from '../test/kit/silent-server.ts'

const piece = Buffer.alloc(64 * 1024)
/** After a cut it is there again at once: the limit is what the link can carry while it is up. */
const againMs = 50

/** A client that sends without end, through a link of its own, to somebody who takes it all. */
export class RawStream implements AsyncDisposable {
  /** Its `bytesToServer` is what arrived. */
  readonly link: LossyLink
  readonly #stopping = new AbortController()
  readonly #disposal: AsyncDisposableStack
  #sending: Promise<void> = Promise.resolve()

  static async open(options: Omit<LinkOptions, 'port'>): Promise<RawStream> {
    await using disposal = new AsyncDisposableStack()
    const { port } = disposal.use(await SilentServer.start())
    const link = disposal.use(await openLossyLink({ ...options, port }))
    return new RawStream(link, disposal.move())
  }

  private constructor(link: LossyLink, disposal: AsyncDisposableStack) {
    this.link = link
    this.#disposal = disposal
  }

  start(): void {
    this.#sending = this.#send(this.#stopping.signal)
  }

  async #send(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sendUntilGone(this.link.port, signal)
      await sleep(againMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#sending
    await this.#disposal.disposeAsync()
  }
}

async function sendUntilGone(port: number, signal: AbortSignal): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.on('drain', () => fill(socket))
  socket.once('connect', () => fill(socket))
  const stop = (): void => void socket.destroy()
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  await new Promise((resolve) => socket.once('close', resolve))
  signal.removeEventListener('abort', stop)
}

function fill(socket: Socket): void {
  while (!socket.destroyed && socket.write(piece));
}
