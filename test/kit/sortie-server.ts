import { base64url } from '../../protocol/ids.ts'
import { runServer } from '../../server-stub/app.ts'
import { serverLimits } from '../../server-stub/config.ts'
import { openParts, type Parts } from '../../server-stub/parts.ts'

/** The server of a sortie: one after the other on the same data. */
export class SortieServer implements AsyncDisposable {
  port = 0
  publicKey = ''
  readonly #data: string
  readonly #change: (parts: Parts) => Partial<Parts>
  #stop: (() => Promise<void>) | undefined

  constructor(data: string, change: (parts: Parts) => Partial<Parts> = () => ({})) {
    this.#data = data
    this.#change = change
  }

  async start(): Promise<void> {
    const opened = await openParts(this.#data, () => undefined)
    const stopping = new AbortController()
    const { promise: url, resolve } = Promise.withResolvers<string>()
    const journal = { ...opened.journal, listening: resolve }
    const parts = { ...opened, journal, ...this.#change({ ...opened, journal }) }
    const config = { data: this.#data, host: '127.0.0.1', port: 0, limits: serverLimits }
    const ended = runServer(config, parts, stopping.signal)
    this.port = Number(new URL(await Promise.race([url, ended.then(() => '')])).port)
    this.publicKey = base64url(opened.signer.publicKey.bytes)
    this.#stop = async () => {
      stopping.abort()
      await ended
      await opened[Symbol.asyncDispose]()
    }
  }

  /** Finishes what is in flight. */
  async stop(): Promise<void> {
    const stop = this.#stop
    this.#stop = undefined
    await stop?.()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
