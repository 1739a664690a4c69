import type { Socket } from 'node:net'
import type { Files } from '../world.ts'

/**
 * Bytes that the kernel still holds of what a socket was given: unsent, or not acknowledged by the other end of this
 * connection. Node tells only what it has handed to the kernel, which may be megabytes ahead of a slow link; Linux tells
 * the rest in /proc/net/tcp (tx_queue: proc(5)). undefined where it does not.
 */
export async function kernelQueueBytes(
  socket: Pick<Socket, 'localPort' | 'remotePort' | 'remoteFamily'>,
  files: Pick<Files, 'readWhole'>,
): Promise<number | undefined> {
  const { localPort, remotePort, remoteFamily } = socket
  if (localPort === undefined || remotePort === undefined) return undefined
  const table = await files
    .readWhole(remoteFamily === 'IPv6' ? '/proc/net/tcp6' : '/proc/net/tcp')
    // A system that does not show it leaves us as wise as Node is.
    .catch(() => undefined)
  return table && findSendQueue(Buffer.from(table).toString('latin1'), localPort, remotePort)
}

const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** In a table of /proc/net/tcp: "sl local_address rem_address st tx_queue:rx_queue …", all hexadecimal. */
export function findSendQueue(table: string, localPort: number, remotePort: number): number | undefined {
  const line = new RegExp(
    `:${hexPort(localPort)} [0-9A-F]+:${hexPort(remotePort)} [0-9A-F]{2} ([0-9A-F]{8}):`,
  )
  const found = line.exec(table)?.[1]
  return found === undefined ? undefined : Number.parseInt(found, 16)
}
