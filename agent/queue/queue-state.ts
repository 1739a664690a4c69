/** Whether the queue takes chunks, and if not, why: then bytes wait in their files. */
export type QueueState =
  | { readonly is: 'open' }
  | { readonly is: 'full' }
  /** The disk refuses; it is tried again every second. */
  | { readonly is: 'blocked'; readonly why: string }
