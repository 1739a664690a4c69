import type { Socket } from 'node:net'

/** What a socket of Node stands on: TLS on TCP, or on the TLS of a proxy. */
interface Handle {
  /** Of TLS: what carries it. */
  readonly _parent?: Handle
  /** Its descriptor: below 0 until the name is looked up. */
  readonly fd?: number
  close(done?: () => void): unknown
  /** Only TCP has it: as `close`, with SO_LINGER 0 (tcp(7)). */
  readonly reset?: (done?: () => void) => unknown
}

/**
 * Ends a connection at once. Behind a mere close the kernel would still send what it holds of what was written, for minutes on
 * a slow link; a reset drops it. Node resets no TLS (`resetAndDestroy` refuses it), so this goes through handles that it does
 * not document, to the TCP below. Where there is none, the connection is closed.
 */
export function reset(socket: Socket): void {
  const { _handle } = socket as Socket & { readonly _handle?: Handle | null }
  const below = _handle && lowestOf(_handle)
  if (below && canReset(below, socket)) closeByReset(below)
  socket.destroy()
}

function lowestOf(handle: Handle): Handle {
  return handle._parent ? lowestOf(handle._parent) : handle
}

/**
 * A reset that fails leaves the handle neither open nor closed: no later close does anything, 'close' is never told, and
 * the socket keeps its place among those of its agent. It fails without a descriptor (EBADF), and while a shutdown is under
 * way (EINVAL).
 */
function canReset({ fd = -1, reset: has }: Handle, socket: Socket): boolean {
  return has !== undefined && fd >= 0 && !socket.writableEnded
}

/** Whatever stands on it closes it when it is closed itself. */
function closeByReset(handle: Handle): void {
  handle.close = (done) => handle.reset?.(done)
}
