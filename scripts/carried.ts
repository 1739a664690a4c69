/**
 * What a binary carries behind its program, by name: the bytes of each, a directory of them in JSON, and how long that is, in
 * four bytes. It is read where it is asked for. What is in a SEA's own assets is mapped, and stays in memory once it was used.
 */
import { appendFileSync, closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs'

/** By name: where its bytes begin in the file, and how many they are. */
type Directory = Readonly<Record<string, readonly [position: number, length: number]>>

const sizeBytes = 4
/** The file itself, also where another one has taken its name meanwhile. */
const self = '/proc/self/exe'

/** Puts files behind a finished binary. `paths` are theirs, by name. */
export function carry(binary: string, paths: Readonly<Record<string, string>>): void {
  const directory: Record<string, [number, number]> = {}
  for (const [name, path] of Object.entries(paths)) {
    const bytes = readFileSync(path)
    directory[name] = [statSync(binary).size, bytes.length]
    appendFileSync(binary, bytes)
  }
  const listed = Buffer.from(JSON.stringify(directory))
  const size = Buffer.alloc(sizeBytes)
  size.writeUInt32LE(listed.length)
  appendFileSync(binary, Buffer.concat([listed, size]))
}

/** What a binary, which is this one, carries by that name. Throws where it carries no such thing. */
export function carried(name: string, binary = self): ArrayBuffer {
  const file = openSync(binary, 'r')
  try {
    const place = directoryOf(file)[name]
    if (!place) throw new Error(`this binary carries no "${name}": it is not as it was built`)
    return readAt(file, ...place)
  } finally {
    closeSync(file)
  }
}

function directoryOf(file: number): Directory {
  const end = fstatSync(file).size - sizeBytes
  const length = new DataView(readAt(file, end, sizeBytes)).getUint32(0, true)
  if (length > end) throw new Error('this binary is cut off')
  return JSON.parse(Buffer.from(readAt(file, end - length, length)).toString()) as Directory
}

function readAt(file: number, position: number, length: number): ArrayBuffer {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length;) {
    const count = readSync(file, bytes, done, length - done, position + done)
    if (count === 0) throw new Error('this binary is cut off')
    done += count
  }
  return bytes.buffer
}
