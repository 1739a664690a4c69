/** The disk has the bytes and cannot give them. */
export function isReadError(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EIO'
}
