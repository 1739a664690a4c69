/** Longer than what an agent tells a file by: to it, every file that begins so has the same head. */
const commonHead = Buffer.alloc(1500, 'FMT BATT,QBfff TimeUS,Volt,Curr\n')

/** Makes bytes for log files, of which each piece is told from all others. */
export class UniqueBytes {
  #pieces = 0
  /** Of all pieces so far, without common heads. */
  made = 0

  /** A piece without an end of line. */
  piece(length: number): Buffer {
    const line = `#${++this.#pieces} ${'.'.repeat(this.#pieces % 50)}\n`
    this.made += length
    if (length === 1) return Buffer.of(0x80 + (this.#pieces % 0x80))
    return Buffer.from(line.repeat(Math.ceil(length / line.length))).subarray(0, length)
  }

  /** A piece for the beginning of a file, behind the head that many have, or without. */
  beginning(length: number, hasCommonHead: boolean): Buffer {
    return Buffer.concat([hasCommonHead ? commonHead : Buffer.alloc(0), this.piece(length)])
  }
}
