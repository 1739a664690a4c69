import { crc32c } from './crc32c.ts'
import { unsnappy } from './snappy.ts'
import { readVarint } from './varint.ts'

/**
 * Why LevelDB must not read this table, or undefined where each block has its checksum. LevelDB does not look at them, and ends
 * the whole process over a key that cannot be. A file without a table's footer was never finished: LevelDB sees that itself.
 * The format is that of LevelDB's doc/table_format.md.
 */
export function damageOfTable(table: Uint8Array): string | undefined {
  const footer = table.subarray(Math.max(0, table.length - footerBytes))
  if (!Buffer.from(footer.subarray(-magic.length)).equals(magic)) return undefined
  try {
    const [metaindex, index] = handlesIn(footer, 2)
    const directories = [metaindex, index].map((handle) => blockAt(table, handle))
    for (const directory of directories) for (const handle of listedIn(directory)) blockAt(table, handle)
    return undefined
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    return cause.message
  }
}

/** Two handles in room for the longest, and the magic number. */
const footerBytes = 48
const magic = Buffer.from('57fb808b247547db', 'hex')
/** Behind each block: how it is compressed, and the checksum of both. */
const trailerBytes = 5
/** LevelDB's tables are of 2 MiB. */
const mostBlockBytes = 64 * 1024 * 1024

interface Handle {
  readonly offset: number
  readonly size: number
}

function handlesIn(bytes: Uint8Array, count: number): Handle[] {
  const handles: Handle[] = []
  let at = 0
  while (handles.length < count) {
    const offset = readVarint(bytes, at)
    const size = readVarint(bytes, offset.end)
    handles.push({ offset: offset.value, size: size.value })
    at = size.end
  }
  return handles
}

/** What a block holds. Throws a RangeError where its checksum says that it is another. */
function blockAt(table: Uint8Array, handle: Handle | undefined): Uint8Array {
  const { offset, size } = handle ?? { offset: 0, size: 0 }
  const end = offset + size
  if (end + trailerBytes > table.length) throw new RangeError(`a block at ${offset} ends behind the table`)
  const stored = Buffer.from(table.buffer, table.byteOffset, table.length).readUInt32LE(end + 1)
  if (masked(crc32c(table.subarray(offset, end + 1))) !== stored)
    throw new RangeError(`the block at ${offset} is not the one that was written`)
  const block = table.subarray(offset, end)
  return table[end] === snappy ? unsnappy(block, mostBlockBytes) : block
}

const snappy = 1

/** LevelDB never stores a checksum as it is: it may stand in what another is made of (its util/crc32c.h). */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** The handles that are the values of a block's entries. */
function* listedIn(block: Uint8Array): Generator<Handle> {
  const restarts = Buffer.from(block.buffer, block.byteOffset, block.length).readUInt32LE(block.length - 4)
  const end = block.length - 4 - 4 * restarts
  for (let at = 0; at < end;) {
    const shared = readVarint(block, at)
    const rest = readVarint(block, shared.end)
    const length = readVarint(block, rest.end)
    const value = length.end + rest.value
    at = value + length.value
    yield* handlesIn(block.subarray(value, at), 1)
  }
}
