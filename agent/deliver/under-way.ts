import type { Upload } from './upload.ts'

/** What left of all uploads and is not known to have passed the link: whatever left before something receipted has. */
export class UnderWay {
  /** Of all uploads that ever were. */
  #leftBytes = 0
  /** Of those. */
  #throughBytes = 0
  /** In the order in which they began. */
  readonly #open = new Set<Upload>()

  get leftBytes(): number {
    return this.#leftBytes
  }

  get bytes(): number {
    return this.#leftBytes - this.#throughBytes
  }

  /** The size of the upload whose receipt is the next; 0 when there is none. One that was overtaken waits for its server. */
  get nextBytes(): number {
    const next = this.#open.values().find(({ bytes, leftAt, wholeBytes }) => {
      return bytes < wholeBytes || leftAt > this.#throughBytes
    })
    return next?.wholeBytes ?? 0
  }

  /** A receipt can come: some upload has left whole, and nothing that left behind it is known to have passed the link. */
  get isAnyAwaited(): boolean {
    return this.#open.values().some(({ bytes, leftAt, wholeBytes }) => {
      return bytes >= wholeBytes && leftAt > this.#throughBytes
    })
  }

  begin(upload: Upload): void {
    this.#open.add(upload)
  }

  /** So many more bytes of it left. */
  left(upload: Upload, bytes: number): void {
    this.#leftBytes += bytes
    upload.bytes += bytes
    upload.leftAt = this.#leftBytes
  }

  /** Bytes that left after its last one. */
  bytesBehind({ leftAt }: Upload): number {
    return this.#leftBytes - leftAt
  }

  arrived(upload: Upload): void {
    this.#open.delete(upload)
    this.#throughBytes = Math.max(this.#throughBytes, upload.leftAt)
  }

  /** Nobody waits for it any more. */
  lost(upload: Upload): void {
    this.#open.delete(upload)
    this.#throughBytes = Math.min(this.#leftBytes, this.#throughBytes + upload.bytes)
  }
}
