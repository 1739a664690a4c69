/** One request. What of a body leaves, and when, its sender decides piece by piece. */
export interface LinkRequest {
  readonly method: 'GET' | 'POST'
  /** As protocol/contract.ts has it; the server's address stands before it. */
  readonly path: string
  /** Of the body. */
  readonly mediaType?: string
  readonly accept: string
  readonly body?: Uint8Array
  /** A longer answer is not our server's. */
  readonly maxAnswerBytes: number
  /** How long a body that has left may still be on its way, held by what stands between here and the server. */
  readonly onItsWayMs?: number
  /** Without one the body goes as fast as the connection takes it. */
  readonly sluice?: Sluice
}

/** Who lets a body go, and hears what has gone. */
export interface Sluice {
  /** How many bytes may go now, at least one and at most `wanted`; waits until some may. 0 when the signal fires. */
  take(wanted: number, signal: AbortSignal): Promise<number>
  /** The connection took so many more. They may still be in this drone's own buffers. */
  left(bytes: number): void
}

export interface Answered {
  readonly is: 'answered'
  readonly status: number
  readonly mediaType: string
  readonly body: Uint8Array
  /** As the server asked (Retry-After). */
  readonly retryAfterMs: number | undefined
  /** Ends the connection on which it came, where that is kept: the next may lead to another server. */
  readonly hangUp?: () => void
}

/** What came back for a request. Whether it means anything is for the receipt to say. */
export type Answer =
  | Answered
  /** Nothing came back that could be read to its end. */
  | {
      readonly is: 'cut'
      /** ECONNRESET, or one of `linkCodes`. */
      readonly code: string
      readonly why: string
      /** Of the body that left: above 0 the server may have records of it. */
      readonly sentBytes: number
    }

/** What a link calls a failure for which the system has no code. */
export const linkCodes = {
  /** No byte moved in either direction for `stallMs`. */
  stalled: 'STALLED',
  /** The answer is longer than any of ours. */
  tooLong: 'ANSWER_TOO_LONG',
  /** The proxy opens no tunnel for whom it does not know (407), or not to this server (403). */
  proxyUnknown: 'PROXY_LOGIN',
  proxyForbids: 'PROXY_FORBIDS',
  /** Its sender gave the request up. */
  abandoned: 'ABANDONED',
} as const

/** The way to the server: carries a request there and the answer back. It neither retries nor judges. */
export interface Link extends AsyncDisposable {
  /** Never throws: a link that fails is an answer. */
  send(request: LinkRequest, signal: AbortSignal): Promise<Answer>
}
