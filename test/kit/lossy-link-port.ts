import { connect, type Socket } from 'node:net'

/**
 * Keeps a port of the loopback address on which nobody listens from being given to somebody else, as to a connection that
 * goes out: a connection from it to itself. Who connects to it is refused; who listens on it by its number may.
 */
export function holdPort(port: number): Socket {
  const address = '127.0.0.1'
  const held = connect({ port, host: address, localPort: port, localAddress: address })
  // Where it is lost the next listener says so.
  held.on('error', () => undefined)
  return held
}
