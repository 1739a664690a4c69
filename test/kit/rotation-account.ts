import type { LineWriter, RotatedLog } from './rotation.ts'
import type { Loss, StoredStream } from './sortie-streams.ts'

/** What became of the lines that a writer wrote. */
export interface LineAccount {
  readonly written: number
  readonly stored: number
  /** More than once. */
  readonly twice: number
  /** Neither on the disk nor on the server: logrotate cut them off between its copy and its truncation, or compressed. */
  readonly lostByLogrotate: number
  /**
   * They survive on the disk, and were cut off in their file so soon after they were written that the agent may not have
   * had its turn on a processor in between: nobody saw them there.
   */
  readonly cutUnseen: number
  /** They survive on the disk, the server has not got them, and a loss record names their bytes. */
  readonly lostWithRecord: number
  /** The same without one: what must not be. */
  readonly lostWithoutRecord: number
}

/** The rotation's own time, and what a busy machine lets a process wait. */
const unseenMs = 100

const lineNumber = /^(\d{9}) /gm

function* numbersIn(text: string): Generator<{ readonly number: number; readonly offset: number }> {
  for (const match of text.matchAll(lineNumber)) yield { number: Number(match[1]), offset: match.index }
}

/** Every line of the ledger, found on the server, on the disk, or nowhere. */
export async function accountFor(
  log: RotatedLog,
  writer: LineWriter,
  streams: readonly StoredStream[],
): Promise<LineAccount> {
  const own = streams.filter(({ path }) => path.startsWith(`${log.mode.name}/`))
  const texts = own.map(({ bytes }) => bytes.toString('latin1'))
  const times = new Map<number, number>()
  for (const text of texts) {
    for (const { number } of numbersIn(text)) times.set(number, (times.get(number) ?? 0) + 1)
  }
  const survivors = (await log.survivors()).map((bytes) => bytes.toString('latin1'))
  const lost = lossesOf(survivors, texts, own, times)
  const unseen = lost.withoutRecord.filter((number) => writer.ageAtRotation(number) <= unseenMs).length
  const stored = times.size
  return {
    written: writer.lines,
    stored,
    twice: [...times.values()].filter((count) => count > 1).length,
    cutUnseen: unseen,
    lostWithRecord: lost.withRecord.length,
    lostWithoutRecord: lost.withoutRecord.length - unseen,
    lostByLogrotate: writer.lines - stored - lost.withRecord.length - lost.withoutRecord.length,
  }
}

interface Lost {
  readonly withRecord: readonly number[]
  readonly withoutRecord: readonly number[]
}

/** The lines that the disk has and the server has not. Its copies have each byte where the generation had it. */
function lossesOf(
  survivors: readonly string[],
  texts: readonly string[],
  streams: readonly StoredStream[],
  times: ReadonlyMap<number, number>,
): Lost {
  const withRecord = new Set<number>()
  const withoutRecord = new Set<number>()
  for (const survivor of survivors) {
    const start = survivor.slice(0, survivor.indexOf('\n') + 1)
    const losses = streams[texts.findIndex((text) => text.startsWith(start))]?.losses ?? []
    for (const { number, offset } of numbersIn(survivor)) {
      if (times.has(number)) continue
      if (losses.some((loss) => covers(loss, offset))) withRecord.add(number)
      else withoutRecord.add(number)
    }
  }
  return { withRecord: [...withRecord], withoutRecord: [...withoutRecord] }
}

const covers = ({ from, to }: Loss, offset: number): boolean => from <= offset && (to === null || offset < to)

/** Added up over several logs. */
export function addUp(accounts: readonly LineAccount[]): LineAccount {
  const sum = (of: keyof LineAccount): number => accounts.reduce((total, account) => total + account[of], 0)
  return {
    written: sum('written'),
    stored: sum('stored'),
    twice: sum('twice'),
    lostByLogrotate: sum('lostByLogrotate'),
    cutUnseen: sum('cutUnseen'),
    lostWithRecord: sum('lostWithRecord'),
    lostWithoutRecord: sum('lostWithoutRecord'),
  }
}
