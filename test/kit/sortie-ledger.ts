import type { Loss, StoredStream } from './sortie-streams.ts'

/** What a writer wrote into one generation of a file: what the server has to have of it. */
export interface Generation {
  /** Where it began, below the logs' folder; a pattern where that depends on who was first, the agent or a rename. */
  readonly path: string | RegExp
  readonly bytes: Uint8Array | string
  /** The bytes that are allowed to be gone, and have to be named so, to the byte. */
  readonly losses?: readonly Loss[]
  /** Whether a close record has to say so; without it, it may be there or not. */
  readonly isClosed?: boolean
}

/**
 * A line for each difference between what was written and what the server has: every generation is one stream, each of
 * its bytes is there once or named as lost, and there is no other stream. An empty generation needs none.
 */
export function differences(expected: readonly Generation[], stored: readonly StoredStream[]): string[] {
  const left = stored.filter(({ bytes, losses }) => bytes.length > 0 || losses.length > 0)
  const wrong: string[] = []
  for (const generation of expected) {
    if (lengthOf(generation) === 0 && !generation.losses) continue
    const own = left.filter(({ path }) => isAt(generation.path, path))
    const twin = own.find((stream) => whatDiffers(generation, stream).length === 0) ?? own[0]
    if (twin) left.splice(left.indexOf(twin), 1)
    if (twin) wrong.push(...whatDiffers(generation, twin))
    else wrong.push(`${String(generation.path)}: no stream for a generation of ${lengthOf(generation)} bytes`)
  }
  const more = left.map(
    ({ path, stream, bytes }) => `${path}: stream ${stream} of ${bytes.length} bytes more`,
  )
  return [...wrong, ...more]
}

const isAt = (expected: string | RegExp, path: string): boolean =>
  typeof expected === 'string' ? expected === path : expected.test(path)

const lengthOf = ({ bytes }: Generation): number => Buffer.from(bytes).length

function whatDiffers({ path, bytes, losses = [], isClosed }: Generation, stored: StoredStream): string[] {
  const written = Buffer.from(bytes)
  for (const { from, to } of losses) written.fill(0, from, to ?? undefined)
  const wrong: string[] = []
  if (!written.equals(stored.bytes)) wrong.push(differenceOf(written, stored.bytes))
  if (stored.missing.length > 0) wrong.push(`missing unnoticed: ${stored.missing.join(', ')}`)
  if (stored.twice.length > 0) wrong.push(`stored twice: ${stored.twice.join(', ')}`)
  const [allowed, told] = [losses, stored.losses].map((list) => list.map(showLoss).join(', '))
  if (allowed !== told) wrong.push(`lost: ${told || 'nothing'}; expected: ${allowed || 'nothing'}`)
  if (isClosed !== undefined && isClosed !== (stored.close !== undefined))
    wrong.push(isClosed ? 'it is not closed' : 'it is closed')
  if (stored.close && losses.length === 0 && !stored.whole) wrong.push('it is closed and not whole')
  return wrong.map((what) => `${String(path)}: ${what}`)
}

const showLoss = ({ from, to, reason }: Loss): string => `${from}-${to ?? ''} ${reason}`

function differenceOf(written: Buffer, stored: Buffer): string {
  const first = written.findIndex((byte, index) => byte !== stored[index])
  const from = first < 0 ? written.length : first
  const show = (bytes: Buffer): string => JSON.stringify(bytes.subarray(from, from + 30).toString('latin1'))
  return (
    `${written.length} bytes written, ${stored.length} stored, which differ from ${from} on: ` +
    `${show(written)} written, ${show(stored)} stored`
  )
}
