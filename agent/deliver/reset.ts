import type { Socket } from 'node:net'

/** What a socket of Node stands on: TLS on TCP, or on the TLS of a proxy. */
interface Handle {
  /** Of TLS: what carries it. */
  readonly _parent?: Handle
  close(done?: () => void): unknown
  /** Only TCP has it: as `close`, with SO_LINGER 0 (tcp(7)). Gives the number of an error where it does nothing. */
  readonly reset?: (done?: () => void) => number
}

/**
 * Ends a connection at once. Behind a mere close the kernel would still send what it holds of what was written, for minutes on
 * a slow link; a reset drops it. Node resets no TLS (`resetAndDestroy` refuses it), so this goes through handles that it does
 * not document, to the TCP below. Where there is none, the connection is closed.
 */
export function reset(socket: Socket): void {
  const { _handle } = socket as Socket & { readonly _handle?: Handle | null }
  const below = _handle && lowestOf(_handle)
  if (below?.reset) closeByReset(below)
  socket.destroy()
}

function lowestOf(handle: Handle): Handle {
  return handle._parent ? lowestOf(handle._parent) : handle
}

/** Whatever stands on it closes it when it is closed itself. */
function closeByReset(handle: Handle): void {
  const close = handle.close.bind(handle)
  handle.close = (done) => (handle.reset?.(done) === 0 ? undefined : close(done))
}
