import type { LineWriter, RotatedLog } from './rotation.ts'
import type { Loss, StoredStream } from './sortie-streams.ts'
import type { ProvenSize } from './told-sizes.ts'

/** What became of the lines that a writer wrote. */
export interface LineAccount {
  readonly written: number
  readonly stored: number
  /** More than once. */
  readonly twice: number
  /** Neither on the disk nor on the server: logrotate cut them off between its copy and its truncation, or compressed. */
  readonly lostByLogrotate: number
  /**
   * They survive on the disk, and were cut off or overwritten in their file before the agent could know of them: the file
   * system never told it a size that they are within, or none of which the file then gave proof that it was its own.
   */
  readonly cutUnseen: number
  /** They survive on the disk, the server has not got them, and a loss record names their bytes. */
  readonly lostWithRecord: number
  /** The same without one: what must not be. */
  readonly lostWithoutRecord: number
}

const lineNumber = /^(\d{9}) /gm

function* numbersIn(text: string): Generator<{ readonly number: number; readonly offset: number }> {
  for (const match of text.matchAll(lineNumber)) yield { number: Number(match[1]), offset: match.index }
}

/** Every line of the ledger, found on the server, on the disk, or nowhere. */
export async function accountFor(
  log: RotatedLog,
  writer: LineWriter,
  streams: readonly StoredStream[],
  told: readonly ProvenSize[],
): Promise<LineAccount> {
  const own = streams.filter(({ path }) => path.startsWith(`${log.mode.name}/`))
  const texts = own.map(({ bytes }) => bytes.toString('latin1'))
  const times = new Map<number, number>()
  for (const text of texts) {
    for (const { number } of numbersIn(text)) times.set(number, (times.get(number) ?? 0) + 1)
  }
  const survivors = (await log.survivors()).map((bytes) => bytes.toString('latin1'))
  const lost = lossesOf(survivors, texts, own, times, told)
  const stored = times.size
  return {
    written: writer.lines,
    stored,
    twice: [...times.values()].filter((count) => count > 1).length,
    cutUnseen: lost.unseen.length,
    lostWithRecord: lost.withRecord.length,
    lostWithoutRecord: lost.withoutRecord.length,
    lostByLogrotate:
      writer.lines - stored - lost.withRecord.length - lost.withoutRecord.length - lost.unseen.length,
  }
}

interface Lost {
  readonly withRecord: readonly number[]
  readonly withoutRecord: readonly number[]
  readonly unseen: readonly number[]
}

/** The lines that the disk has and the server has not. Its copies have each byte where the generation had it. */
function lossesOf(
  survivors: readonly string[],
  texts: readonly string[],
  streams: readonly StoredStream[],
  times: ReadonlyMap<number, number>,
  told: readonly ProvenSize[],
): Lost {
  const withRecord = new Set<number>()
  const withoutRecord = new Set<number>()
  const unseen = new Set<number>()
  for (const survivor of survivors) {
    const start = survivor.slice(0, survivor.indexOf('\n') + 1)
    const losses = streams[texts.findIndex((text) => text.startsWith(start))]?.losses ?? []
    const known = told.find(({ head }) => head !== '' && survivor.startsWith(head))?.bytes ?? 0
    for (const { number, offset } of numbersIn(survivor)) {
      if (times.has(number)) continue
      if (losses.some((loss) => covers(loss, offset))) withRecord.add(number)
      else if (offset < known) withoutRecord.add(number)
      else unseen.add(number)
    }
  }
  return { withRecord: [...withRecord], withoutRecord: [...withoutRecord], unseen: [...unseen] }
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
