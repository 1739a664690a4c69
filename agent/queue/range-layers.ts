import {
  base64url,
  digestBytes,
  equalBytes,
  isCount,
  parseBase64url,
  parseEpoch,
  parseSequence,
  type Digest,
} from '../../protocol/ids.ts'
import { placeText, type Place } from './index-entry.ts'
import { parseObject } from './resume-point.ts'

/** Where the records stand that say something of a file. */
export interface Places {
  /** Of the record; undefined where an agent before this one noted it. */
  readonly at: Place | undefined
  /** Of the one that held it before, where it was sealed anew. */
  readonly of: Place | undefined
}

/** What a record says of the bytes behind an offset. */
export interface Layer extends Places {
  readonly length: number
  /** null: they were lost. */
  readonly sha256: Digest | null
}

export const isBehind = (place: Place, other: Place): boolean => placeText(place) > placeText(other)

/**
 * All that is to be remembered of one offset once this is said of it, too, the newest first: what is older stays where it goes
 * on behind the newer ones. A loss takes no bytes away.
 */
export function withLayer(known: readonly Layer[], layer: Layer): readonly Layer[] {
  const others = known.filter(({ at }) => !at || !layer.at || placeText(at) !== placeText(layer.at))
  const all = [layer, ...others].toSorted((one, other) => (isNewer(one, other) ? -1 : 1))
  return all.filter((one, index) => !all.slice(0, index).some((newer) => hides(newer, one)))
}

/** What names no place was noted before all that does. */
function isNewer({ at }: Layer, { at: other }: Layer): boolean {
  return at !== undefined && (other === undefined || isBehind(at, other))
}

function hides(newer: Layer, older: Layer): boolean {
  return newer.length >= older.length && (newer.sha256 !== null || older.sha256 === null)
}

export function isAlike(one: Layer, { length, sha256 }: Layer): boolean {
  if (one.sha256 === null || sha256 === null) return one.length === length && one.sha256 === sha256
  return one.length === length && equalBytes(one.sha256, sha256)
}

/** An agent before this one wrote and read only the newest. */
export function encodeLayers(layers: readonly Layer[]): string {
  const [newest, ...under] = layers.map(fieldsOf)
  return JSON.stringify(under.length > 0 ? { ...newest, under } : newest)
}

/** None where the text is not what `encodeLayers` made. */
export function decodeLayers(text: string): readonly Layer[] {
  const { under, ...newest } = parseObject(text)
  const all: unknown[] = [newest, ...(Array.isArray(under) ? (under as unknown[]) : [])]
  return all.map(decodeLayer).filter((layer) => layer !== undefined)
}

function decodeLayer(fields: unknown): Layer | undefined {
  const { length, sha256, ...places } = fields as Record<string, unknown>
  const digest = typeof sha256 === 'string' ? parseBase64url(sha256, digestBytes) : undefined
  if (!isCount(length) || (sha256 !== null && !digest)) return undefined
  return { length, sha256: digest ? (digest as Digest) : null, ...decodePlaces(places) }
}

function fieldsOf({ length, sha256, ...places }: Layer): Record<string, unknown> {
  return { length, sha256: sha256 && base64url(sha256), ...placeFields(places) }
}

const numbersOf = ({ epoch, seq }: Place): number[] => [epoch, seq]

export function placeFields({ at, of }: Places): Record<string, unknown> {
  return { ...(at ? { at: numbersOf(at) } : {}), ...(of ? { of: numbersOf(of) } : {}) }
}

export function decodePlaces({ at, of }: Record<string, unknown>): Places {
  return { at: placeIn(at), of: placeIn(of) }
}

function placeIn(numbers: unknown): Place | undefined {
  const [first, second]: unknown[] = Array.isArray(numbers) ? numbers : []
  const [epoch, seq] = [parseEpoch(first), parseSequence(second)]
  return epoch === undefined || seq === undefined ? undefined : { epoch, seq }
}
