/** One upload in the book of the link's model. */
export interface Upload {
  readonly wholeBytes: number
  /** That left so far. */
  bytes: number
  /** Nothing more was there to send while it was under way, or something else than the link held it back. */
  isStarved: boolean
  /** For how long the link had nothing to do while it left, by what is known of the rate. */
  idleMs: number
  /** Nothing else was under way when it began, or nothing had come back yet. */
  readonly isAlone: boolean
  /** It began while the round trip was to be found out. */
  readonly isProbe: boolean
  readonly beganMs: number
  /** As they stood when it began. */
  readonly deliveredBytes: number
  deliveredMs: number
  leftBeforeMs: number
  /** When its last byte so far left. */
  leftMs: number
  /** How many bytes had left then, of all uploads. */
  leftAt: number
}

/**
 * Whether nearly all that was delivered while this was under way was delivered of others: it passed them, as what is urgent
 * does, and they had left long before.
 */
export const isOfOthers = ({ bytes }: Upload, deliveredBytes: number): boolean => bytes * 16 < deliveredBytes
