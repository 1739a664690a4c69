import { limits } from '../../protocol/contract.ts'
import type { PublicKey, Signer } from '../../protocol/ed25519-policy.ts'
import type { ByteOffset, DeviceId, Digest, StreamId } from '../../protocol/ids.ts'
import type { LogPath } from '../../protocol/log-path.ts'
import { nonceBytes, signQuery } from '../../protocol/query.ts'
import { verifyStreams, type HeldStream, type Run } from '../../protocol/streams.ts'
import type { Chance } from '../world.ts'
import type { Answer } from './link.ts'

/**
 * A file generation of which the server has bytes. A file is it only if it holds all of the evidence; then it is to be
 * read on from `position`, in this stream.
 */
export interface Recalled {
  readonly stream: StreamId
  /** The one that was asked for. */
  readonly path: LogPath
  /** Where the bytes begin that are on the server without a gap: 0 unless the drone began later, or a record before is not there. */
  readonly from: ByteOffset
  /** Where they end. */
  readonly position: ByteOffset
  /** The first and the last of their records. */
  readonly evidence: readonly Run['first'][]
  /** What the drone closed it with, if that was the last it said of it. */
  readonly closed: { readonly length: number; readonly sha256: Digest } | null
}

export type Recollection =
  /** Of each path the newest first; none where the server has none. With the server's wall clock, 0 if nothing was asked. */
  | { readonly is: 'told'; readonly generations: readonly Recalled[]; readonly timeMs: number }
  /** The server answers, and not this question: what is in the files is to be sent anew. */
  | { readonly is: 'cannot'; readonly why: string }
  /** Nothing is known: ask again later. */
  | { readonly is: 'untold'; readonly why: string }

/** Asks about the files at these paths. */
export type Recall = (paths: readonly LogPath[], signal: AbortSignal) => Promise<Recollection>

/** Who asks, and whom he believes. */
export interface RecallParts {
  readonly device: DeviceId
  readonly signer: Signer
  /** The server's keys. */
  readonly pinned: readonly PublicKey[]
  readonly chance: Chance
  /** Posts a signed query to /v1/streams. Never throws: a link that fails is an answer. */
  readonly ask: (query: Uint8Array, signal: AbortSignal) => Promise<Answer>
}

/**
 * Asks the server what it has of the files at these paths, for a drone that has lost its queue. It believes only what a
 * pinned key signed for this very question, and of that nothing about the files, which are still to be compared. Does not
 * try again; resolves to 'untold' when the signal fires.
 */
export async function recall(
  paths: readonly LogPath[],
  parts: RecallParts,
  signal: AbortSignal,
): Promise<Recollection> {
  const generations: Recalled[] = []
  let timeMs = 0
  for (let start = 0; start < paths.length; start += limits.maxQueryPaths) {
    const told = await recallSome(paths.slice(start, start + limits.maxQueryPaths), parts, signal)
    if (told.is !== 'told') return told
    generations.push(...told.generations)
    timeMs = told.timeMs
  }
  return { is: 'told', generations, timeMs }
}

/** No more paths than one query may have. */
async function recallSome(
  paths: readonly LogPath[],
  { device, signer, pinned, chance, ask }: RecallParts,
  signal: AbortSignal,
): Promise<Recollection> {
  if (signal.aborted) return { is: 'untold', why: 'the agent stops' }
  const nonce = chance.bytes(nonceBytes)
  const query = signQuery({ asks: 'streams', device, nonce, paths }, signer)
  const answer = await ask(query.bytes, signal)
  if (answer.is === 'cut') return { is: 'untold', why: answer.why }
  if (unknownQuestion.has(answer.status)) return { is: 'cannot', why: sayStatus(answer.status) }
  if (answer.status !== 200) return { is: 'untold', why: sayStatus(answer.status) }
  const held = verifyStreams(answer.body, pinned, { device, digest: query.digest, paths: paths.length })
  if (!held.ok) return { is: 'untold', why: 'not our server: status 200 without a list by the pinned key' }
  const { streams, timeMs } = held.value
  return { is: 'told', generations: streams.flatMap((stream) => recalled(stream, paths)), timeMs }
}

/** What an older server, or one that is not ours, says to an address that it does not have. */
const unknownQuestion = new Set([404, 405, 501])

const sayStatus = (status: number): string => `the server answered ${status}`

/** None where not a byte of it is there. */
function recalled({ stream, path: at, run, closed }: HeldStream, paths: readonly LogPath[]): Recalled[] {
  const path = paths[at]
  if (path === undefined || !run) return []
  const position = (run.last.offset + run.last.length) as ByteOffset
  return [{ stream, path, from: run.first.offset, position, evidence: evidenceOf(run), closed }]
}

function evidenceOf({ first, last }: Run): readonly Run['first'][] {
  return first.offset === last.offset ? [last] : [first, last]
}
