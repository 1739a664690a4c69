import { limits } from './contract.ts'
import { isCount, parseBase64url } from './ids.ts'

/** What a server takes, and which store it is. Nobody signs it: a drone may send less because of it, never more. */
export interface Capabilities {
  /** Of the wire format. */
  readonly versions: readonly number[]
  /** Of a whole record: envelope and body. */
  readonly maxRecordBytes: number
  readonly maxBatchBytes: number
  readonly maxBatchRecords: number
  readonly maxManifestBytes: number
  /** 16 random bytes as base64url, made with the store: another one holds none of what the first gave receipts for. */
  readonly store: string
}

export const storeIdBytes = 16
/** The longest answer that is read. */
export const maxCapabilitiesBytes = 4096

/** What this version of the format can have at most. */
const most = {
  maxRecordBytes: limits.maxChunkBytes + limits.maxRecordOverheadBytes,
  maxBatchBytes: limits.maxBatchBytes,
  maxBatchRecords: limits.maxBatchRecords,
  maxManifestBytes: limits.maxManifestBytes,
} as const

/** What every server must take: whoever answers less would have a drone seal crumbs, and crumbs stay crumbs. */
const least: Readonly<Record<keyof typeof most, number>> = {
  maxRecordBytes: 64 * 1024,
  maxBatchBytes: 64 * 1024,
  maxBatchRecords: 1,
  maxManifestBytes: limits.maxManifestBytes,
}

/** What a server of this version says. */
export function capabilitiesOf(store: string): Capabilities {
  return { versions: [1], ...most, store }
}

export type CapabilitiesAnswer =
  | { readonly ok: true; readonly capabilities: Capabilities }
  | { readonly ok: false; readonly why: 'malformed' | 'otherVersion' | 'tooLittle' }

/**
 * Reads what a server, or whoever answers in its place, says of itself. Never throws. Each limit comes back as what was
 * said or as this version's own, whichever is lower; what it does not know is ignored.
 */
export function readCapabilities(body: Uint8Array): CapabilitiesAnswer {
  const said = body.length <= maxCapabilitiesBytes ? parseObject(body) : undefined
  const versions = said?.['versions']
  const store = said?.['store']
  if (!said || !Array.isArray(versions) || !versions.every(isCount)) return refused('malformed')
  if (typeof store !== 'string' || !parseBase64url(store, storeIdBytes)) return refused('malformed')
  if (!versions.includes(1)) return refused('otherVersion')
  const names = Object.keys(most) as (keyof typeof most)[]
  const offers = names.map((name) => [name, said[name]] as const)
  if (!offers.every(isOffer)) return refused('malformed')
  if (offers.some(([name, offer]) => offer < least[name])) return refused('tooLittle')
  const [maxRecordBytes, maxBatchBytes, maxBatchRecords, maxManifestBytes] = offers.map(([name, offer]) =>
    Math.min(offer, most[name]),
  ) as [number, number, number, number]
  const capabilities = { versions, maxRecordBytes, maxBatchBytes, maxBatchRecords, maxManifestBytes, store }
  return { ok: true, capabilities }
}

const refused = (why: 'malformed' | 'otherVersion' | 'tooLittle'): CapabilitiesAnswer => ({ ok: false, why })

/** However high: what is above the table counts as the table. */
const isOffer = (
  offer: readonly [keyof typeof most, unknown],
): offer is readonly [keyof typeof most, number] => Number.isInteger(offer[1]) && Number(offer[1]) >= 0

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    // JSON.parse throws on a captive portal's page; where it broke helps nobody.
    return undefined
  }
}
