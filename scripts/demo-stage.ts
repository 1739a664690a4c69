/** What the demo tells the person who watches, on a terminal or in the log of a build. */
import { styleText } from 'node:util'
import { showText } from '../protocol/show-text.ts'

const margin = '   '

export class Stage {
  readonly #startedMs = performance.now()
  #steps = 0
  #checks = 0
  #failed = 0

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000
  }

  get checks(): number {
    return this.#checks
  }

  get failed(): number {
    return this.#failed
  }

  say(text: string): void {
    process.stdout.write(text === '' ? '\n' : `${margin}${text}\n`)
  }

  title(text: string): void {
    process.stdout.write(`${bold(text)}\n`)
  }

  /** What happens now, and what for. */
  step(what: string, why: string): void {
    const clock = `(${this.seconds.toFixed(1)} s)`
    process.stdout.write(`\n${bold(`${++this.#steps}. ${what}`)} ${dim(clock)}\n${dim(`${margin}${why}`)}\n`)
  }

  fact(name: string, text: string): void {
    this.say(`${name.padEnd(9)}${showText(text)}`)
  }

  /** The exit status of the demo is that of its checks. */
  check(holds: boolean, text: string): void {
    this.#checks++
    if (!holds) this.#failed++
    this.say(`${holds ? styleText('green', 'ok      ') : styleText('red', 'FAILED  ')} ${text}`)
  }

  table(rows: readonly (readonly string[])[]): void {
    const columns = rows[0] ?? []
    const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
    for (const [line, row] of rows.entries()) {
      const text = row.map((cell, at) => pad(cell, widths[at] ?? 0, at)).join('  ')
      this.say(line === 0 ? dim(text) : text)
    }
  }
}

/** A name at the left, figures at the right. */
function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function bold(text: string): string {
  return styleText('bold', text)
}

function dim(text: string): string {
  return styleText('dim', text)
}

export function count(value: number): string {
  return value.toLocaleString('en')
}
