/** Stands in for string-width inside the binaries, where yargs lays out nothing but the help. */
import { stripVTControlCharacters } from 'node:util'

/** The columns that a text takes which has no characters but those of our help: each takes one. */
export default function plainWidth(text: string): number {
  return stripVTControlCharacters(text).length
}
