/**
 * The floor of the benchmark, a process of its own: the same bytes read, hashed with SHA-256 and compressed by zstd at the
 * agent's level, alone. Prints one JSON line.
 */
import { open } from 'node:fs/promises'
import { encodeBody } from '../protocol/body.ts'

const chunkBytes = 1024 * 1024

async function measure(path: string): Promise<void> {
  const before = process.cpuUsage()
  const startMs = performance.now()
  await using file = await open(path)
  const buffer = Buffer.allocUnsafeSlow(chunkBytes)
  let [read, compressed] = [0, 0]
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, read)
    if (bytesRead === 0) break
    const { body } = await encodeBody(buffer.subarray(0, bytesRead))
    read += bytesRead
    compressed += body.length
  }
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - startMs) / 1000
  console.log(JSON.stringify({ bytes: read, compressed, seconds, cpuSeconds: (user + system) / 1e6 }))
}

const [path = ''] = process.argv.slice(2)
await measure(path)
