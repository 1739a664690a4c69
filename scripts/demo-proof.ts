/** What the demo claims, computed anew from the drone's files, what the server gives back, and what lies in its store. */
import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeManifest } from '../protocol/manifest.ts'
import { readRecords } from '../protocol/record.ts'
import { device } from './demo-drone.ts'
import { contentFrom, contentOf, type Command, type Content } from './demo-programs.ts'

/** A data record in the store, as its signed manifest tells. */
export interface StoredRange {
  readonly blob: string
  /** Where the record stands in the blob. */
  readonly at: number
  readonly recordBytes: number
  readonly path: string
  readonly from: number
  readonly to: number
}

export async function storedRanges(store: string): Promise<StoredRange[]> {
  const names = await readdir(join(store, 'records'), { recursive: true })
  const ranges: StoredRange[] = []
  for (const name of names.filter((name) => name.endsWith('.logb'))) {
    ranges.push(...(await rangesIn(join(store, 'records', name))))
  }
  return ranges
}

async function rangesIn(blob: string): Promise<StoredRange[]> {
  const ranges: StoredRange[] = []
  let at = 0
  for await (const { envelope, bytes } of readRecords(createReadStream(blob))) {
    const manifest = decodeManifest(envelope.payload)
    if (!manifest.ok) throw new Error(`${blob} holds a record without a manifest: ${manifest.refusal}`)
    if (manifest.value.kind === 'data') {
      const { path, offset, length } = manifest.value
      const place = { blob, at, recordBytes: bytes.length, path: String(path) }
      ranges.push({ ...place, from: offset, to: offset + length })
    }
    at += bytes.length
  }
  return ranges
}

export interface Comparison {
  readonly path: string
  readonly onDrone: Content
  readonly onServer: Content & { readonly status: number | null }
  /** Bytes of the file that no stored record has. */
  readonly missing: number
  /** Bytes that a second record has too. */
  readonly twice: number
}

export function isSame({ onDrone, onServer }: Comparison): boolean {
  return onServer.status === 0 && onDrone.bytes === onServer.bytes && onDrone.sha256 === onServer.sha256
}

export async function compare(
  path: string,
  store: string,
  server: Command,
  signal: AbortSignal,
): Promise<Comparison> {
  const onDrone = await contentOf(createReadStream(path))
  const onServer = await contentFrom(server, ['cat', device, path, '--data', store], signal)
  const ranges = (await storedRanges(store)).filter((range) => range.path === path)
  const held = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
  const once = coveredBytes(ranges)
  return { path, onDrone, onServer, missing: onDrone.bytes - once, twice: held - once }
}

function coveredBytes(ranges: readonly StoredRange[]): number {
  let covered = 0
  let end = 0
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    covered += Math.max(0, to - Math.max(from, end))
    end = Math.max(end, to)
  }
  return covered
}

/** Turns over every bit of the byte in the middle of a record. Doing it again undoes it. */
export async function flipByteOf({ blob, at, recordBytes }: StoredRange): Promise<number> {
  const position = at + Math.floor(recordBytes / 2)
  await using file = await open(blob, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0] = ~(byte[0] ?? 0)
  await file.write(byte, 0, 1, position)
  return position
}
