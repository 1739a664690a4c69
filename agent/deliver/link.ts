/** What came back for a batch. Whether it means anything is for the receipt to say. */
export type Answer =
  | {
      readonly is: 'answered'
      readonly status: number
      readonly mediaType: string
      readonly body: Uint8Array
      /** As the server asked (Retry-After). */
      readonly retryAfterMs: number | undefined
    }
  /** Nothing came back that could be read to its end. */
  | { readonly is: 'cut'; readonly why: string }

/** The way to the server: carries a batch there and the answer back. It neither retries nor judges. */
export interface Link extends AsyncDisposable {
  /** Never throws: a link that fails is an answer. */
  send(batch: Uint8Array, signal: AbortSignal): Promise<Answer>
}
