import { Type } from 'typebox'
import { parseDuration, parseSize } from './units.ts'

/** How the text of a variable or a flag becomes the value that a file would hold. */
export type TextForm = 'text' | 'list' | 'boolean' | 'path'

export interface SettingOptions {
  readonly description: string
  /** Ends "expected …" in an error, and says in the documentation what may stand here. */
  readonly expected: string
  readonly default?: unknown
  readonly form?: TextForm
  /** It may be left out, and then there is none. */
  readonly isOptional?: boolean
}

/** Of a group: what is not declared is refused. */
export const strict = (expected: string) => ({ additionalProperties: false, expected })
/** A group of settings that all have defaults may be left out. */
export const group = { ...strict('a map of settings'), default: {} }

/** A setting of type T as the file holds it, where `accepts` is true. */
export function setting<T>(options: SettingOptions, accepts: (value: unknown) => boolean) {
  return Type.Refine(Type.Unsafe<T>({ ...options }), accepts, () => options.expected)
}

/** A text for which `accepts` is true. */
export function text(options: SettingOptions, accepts: (value: string) => boolean) {
  return setting<string>(options, (value) => typeof value === 'string' && accepts(value))
}

/** A list of such texts, of at least so many. */
export function texts(options: SettingOptions, accepts: (value: string) => boolean, least = 0) {
  const isText = (value: unknown): boolean => typeof value === 'string' && accepts(value)
  return setting<string[]>(
    options,
    (value) => Array.isArray(value) && value.length >= least && value.every(isText),
  )
}

/** One of a few words; the first is the default. */
export function oneOf<const T extends string>(words: readonly T[], description: string) {
  const options = { description, expected: words.join(' or '), default: words[0] }
  return setting<T>(options, (value) => words.some((word) => word === value))
}

/** A path that must be given; a relative one starts at the folder of the file. */
export function filePath(description: string) {
  return text(pathOptions(description), isPath)
}

/** A path that may be left out, and then there is none. */
export function optionalPath(description: string) {
  return Type.Optional(text({ ...pathOptions(description), isOptional: true }, isPath))
}

export function optionalText(description: string, expected: string, accepts: (value: string) => boolean) {
  return Type.Optional(text({ description, expected, isOptional: true }, accepts))
}

const pathOptions = (description: string) => ({ description, expected: 'a path', form: 'path' }) as const
const isPath = (value: string): boolean => value !== '' && !value.includes('\0')

export interface Range {
  readonly from: string
  readonly to: string
  readonly default: string
}

/** Bytes, as a text with a unit or as a plain number. */
export function size(description: string, range: Range) {
  return setting<string | number>(...sizeWithin(description, range))
}

/** One that may be left out, and then there is no limit. */
export function optionalSize(description: string, range: Omit<Range, 'default'>) {
  const [options, accepts] = sizeWithin(description, range)
  return Type.Optional(setting<string | number>({ ...options, isOptional: true }, accepts))
}

function sizeWithin(
  description: string,
  range: Omit<Range, 'default'> & Partial<Range>,
): [SettingOptions, (value: unknown) => boolean] {
  const [from, to] = [parseSize(range.from) ?? 0, parseSize(range.to) ?? 0]
  const expected = `a size from ${range.from} to ${range.to}`
  const accepts = (value: unknown): boolean => {
    const bytes = sizeOf(value)
    return bytes !== undefined && bytes >= from && bytes <= to
  }
  return [{ description, expected, default: range.default }, accepts]
}

/** Timers of Node count to 24 days; no setting comes near. */
export function duration(description: string, range: Range) {
  const [from, to] = [parseDuration(range.from) ?? 0, parseDuration(range.to) ?? 0]
  const expected = `a duration from ${range.from} to ${range.to}`
  return text({ description, expected, default: range.default }, (value) => {
    const ms = parseDuration(value)
    return ms !== undefined && ms >= from && ms <= to
  })
}

/** Like `duration`, or the word `never`, which is the default. */
export function durationOrNever(description: string, range: Omit<Range, 'default'>) {
  const [from, to] = [parseDuration(range.from) ?? 0, parseDuration(range.to) ?? 0]
  const expected = `never, or a duration from ${range.from} to ${range.to}`
  return text({ description, expected, default: 'never' }, (value) => {
    const ms = parseDuration(value)
    return value === 'never' || (ms !== undefined && ms >= from && ms <= to)
  })
}

/** A whole number; digits from a variable or a flag. */
export function count(description: string, range: Readonly<Record<'from' | 'to' | 'default', number>>) {
  const { from, to, default: initial } = range
  const expected = `a whole number from ${from} to ${to}`
  return setting<string | number>({ description, expected, default: initial }, (value) => {
    const number = countOf(value)
    return number !== undefined && number >= from && number <= to
  })
}

/** A whole number from 0, or digits of one; undefined for anything else. */
export function countOf(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^\d{1,15}$/.test(value)) return undefined
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : NaN
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

/** A size is a text with a unit or a plain number of bytes. */
export function sizeOf(value: unknown): number | undefined {
  return parseSize(typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '')
}
