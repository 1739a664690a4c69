import { failures, refusalSenses, statuses, type Sense } from '../../agent/deliver/meaning.ts'

const courses: Readonly<Record<Sense['course'], string>> = {
  receipt: 'read the receipt',
  retry: 'keep, retry with backoff',
  smaller: 'keep, make smaller',
  aside: 'the third time in a row: set aside, report',
  person: 'keep, tell a person, retry slowly',
  portal: 'keep, not our server, retry with backoff',
}

/** The tables of docs/delivery.md, as the formatter would leave them. */
export function meaningTables(): string {
  return [
    tableOf('status', statuses),
    tableOf('no answer', failures),
    tableOf('refused in a receipt', refusalSenses),
  ].join('\n\n')
}

function tableOf(heading: string, senses: Readonly<Record<string, Sense>>): string {
  const rows = Object.entries(senses).map(([name, { course, says, isInDoubt }]) => {
    return [`\`${name}\``, courses[course], isInDoubt ? 'yes' : '', says]
  })
  const all = [[heading, 'what is done', 'asks first', 'what it means'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...body] = all
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}
