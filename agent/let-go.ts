/**
 * Gives the memory of these bytes back at once, where they have it for themselves. V8 learns late that it can go: some of it
 * outlives two young collections, and then everything has to be collected again and again.
 */
export function letGo(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength) buffer.transfer(0)
}
