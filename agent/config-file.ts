import { closeSync, openSync, readSync } from 'node:fs'
import { inspect } from 'node:util'
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type YAMLError,
} from 'yaml'
import type { Fault } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFault } from './faults.ts'
import { showSize } from './units.ts'

/** A configuration file as it was written, not yet checked. */
export interface ConfigFile {
  readonly value: unknown
  /** "FILE:LINE:COLUMN" of what stands at this path, or of the nearest thing around it. */
  where(path: readonly string[]): string
}

/** No real configuration comes near; more is a wrong file, such as a log. */
const maxFileBytes = 256 * 1024
/** How much aliases may multiply what they point to, against files that unfold into gigabytes. */
const maxAliasCount = 100
const maxProblems = 20

/** Throws a Fault for a file that cannot be read, and whatever `parseConfigFile` does. */
export function readConfigFile(path: string): ConfigFile {
  return parseConfigFile(path, readBytes(path))
}

/** Throws a Fault for whatever is not one YAML document, and nothing else. */
export function parseConfigFile(path: string, bytes: Uint8Array): ConfigFile {
  const name = showText(path)
  const lines = new LineCounter()
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}:${line}:${col}`
  }
  const text = decodeText(name, bytes)
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' })
    const problems = [...document.errors, ...document.warnings]
    if (problems.length > 0)
      throw invalid(problems.map((problem) => `${at(problem.pos[0])}: ${explain(problem)}`))
    const value: unknown = document.toJS({ maxAliasCount })
    return { value, where: (path) => at(offsetOf(document, path)) }
  } catch (cause) {
    throw unreadableYaml(name, cause)
  }
}

function decodeText(name: string, bytes: Uint8Array): string {
  if (bytes.length > maxFileBytes) throw invalid([`${name} is larger than ${showSize(maxFileBytes)}`])
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw invalid([`${name} is not UTF-8 text`], { cause })
  }
}

/** The library throws where aliases are unresolved or too many, and where nesting exceeds the stack. */
function unreadableYaml(name: string, cause: unknown): unknown {
  if (cause instanceof RangeError) return invalid([`${name} is nested too deeply`], { cause })
  if (cause instanceof ReferenceError) return invalid([`${name}: ${showText(cause.message)}`], { cause })
  return cause
}

function explain(problem: YAMLError): string {
  if (problem.code === 'DUPLICATE_KEY') return 'this setting stands twice in its map'
  return `not YAML: ${showText(problem.message)}`
}

/** One line a problem. */
export function invalid(problems: readonly string[], options?: ErrorOptions): Fault {
  const more = problems.length - maxProblems
  const lines = more > 0 ? [...problems.slice(0, maxProblems), `and ${more} more like these`] : problems
  return agentFault('CONFIG_INVALID', lines.join('\n'), options)
}

/** A value from a configuration, as an error names it: short, harmless to a terminal, and without the password of a URL. */
export function showFound(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  const options = { depth: 1, maxArrayLength: 5, maxStringLength: 80, breakLength: Infinity, getters: false }
  return showText(inspect(value, options))
    .slice(0, 200)
    .replace(/\/\/[^/@]*@/, '//***@')
}

function readBytes(path: string): Uint8Array {
  try {
    return readAtMost(path, maxFileBytes + 1)
  } catch (cause) {
    throw unreadable(path, cause as NodeJS.ErrnoException)
  }
}

/** Reads from pipes too, as in `--config <(…)`, whose size nobody knows before. */
function readAtMost(path: string, maxBytes: number): Uint8Array {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(maxBytes)
    let end = 0
    for (let count = -1; count !== 0 && end < maxBytes; end += count) {
      count = readSync(file, bytes, end, maxBytes - end, null)
    }
    return bytes.subarray(0, end)
  } finally {
    closeSync(file)
  }
}

function unreadable(path: string, cause: NodeJS.ErrnoException): Fault {
  const name = showText(path)
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return agentFault('CONFIG_UNREADABLE', `may not read the configuration ${name}`, { cause })
  }
  const is = cause.code === 'EISDIR' ? `${name} is a folder` : `no configuration at ${name} (${cause.code})`
  return agentFault('CONFIG_MISSING', is, { cause })
}

/** The key where there is one, so that the line is the one that a person would look for. */
function offsetOf(document: Document.Parsed, path: readonly string[]): number {
  let at: Place = { node: document.contents, offset: document.contents?.range[0] ?? 0 }
  for (const name of path) {
    const next = entryOf(isAlias(at.node) ? at.node.resolve(document) : at.node, name)
    if (!next) break
    at = next
  }
  return at.offset
}

interface Place {
  readonly node: unknown
  readonly offset: number
}

function entryOf(parent: unknown, name: string): Place | undefined {
  if (isSeq(parent)) return placeOf(parent.items[Number(name)])
  const pair = isMap(parent)
    ? parent.items.find(({ key }) => isScalar(key) && String(key.value) === name)
    : undefined
  return pair && { node: pair.value, offset: placeOf(pair.key)?.offset ?? 0 }
}

function placeOf(node: unknown): Place | undefined {
  return isNode(node) ? { node, offset: node.range?.[0] ?? 0 } : undefined
}
