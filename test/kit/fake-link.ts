import type { Answer, Link, LinkRequest, Sluice } from '../../agent/deliver/link.ts'
import { mediaTypes } from '../../protocol/contract.ts'

/** A request that waits for what the test answers. */
export interface Asked {
  readonly request: LinkRequest
  /** Of its body that its sender has let go. */
  sentBytes: number
  readonly signal: AbortSignal
  answer(answer: Answer): void
}

/** A link on which the test answers each request when and how it likes; its bodies leave as fast as they are let go. */
export class FakeLink implements Link {
  readonly asked: Asked[] = []
  readonly #watchers = new Set<() => void>()

  send(request: LinkRequest, signal: AbortSignal): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const asked: Asked = { request, sentBytes: 0, signal, answer: resolve }
    const abandon = (): void => resolve(cut('ABANDONED', asked.sentBytes))
    signal.addEventListener('abort', abandon, { once: true })
    if (signal.aborted) abandon()
    this.asked.push(asked)
    void this.#letGo(asked).then(() => this.#tell())
    this.#tell()
    return promise
  }

  async #letGo(asked: Asked): Promise<void> {
    const { body, sluice } = asked.request
    if (body && sluice)
      while (asked.sentBytes < body.length) if (!(await this.#letPiece(asked, body, sluice))) return
  }

  async #letPiece(asked: Asked, body: Uint8Array, sluice: Sluice): Promise<boolean> {
    const bytes = await sluice.take(body.length - asked.sentBytes, asked.signal)
    asked.sentBytes += bytes
    if (bytes > 0) sluice.left(bytes)
    this.#tell()
    return bytes > 0
  }

  /** The `count`th request to this path, once it was made and all of its body has left. */
  async to(path: string, count = 1): Promise<Asked> {
    const { promise, resolve } = Promise.withResolvers<Asked>()
    const watch = (): void => {
      const asked = this.asked.filter(({ request }) => request.path === path)[count - 1]
      if (asked && asked.sentBytes === (asked.request.sluice ? (asked.request.body?.length ?? 0) : 0))
        resolve(asked)
    }
    this.#watchers.add(watch)
    watch()
    const asked = await promise
    this.#watchers.delete(watch)
    return asked
  }

  #tell(): void {
    for (const watch of this.#watchers) watch()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

export const cut = (code: string, sentBytes: number): Answer => ({ is: 'cut', code, why: code, sentBytes })

export function answered(
  status: number,
  body: Uint8Array = new Uint8Array(0),
  retryAfterMs?: number,
): Answer {
  return { is: 'answered', status, mediaType: mediaTypes.receipt, body, retryAfterMs }
}
