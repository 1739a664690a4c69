/** What LevelDB says of its files; its other codes say that it is used wrongly. */
const levelCodes = new Set(['LEVEL_IO_ERROR', 'LEVEL_CORRUPTION', 'LEVEL_LOCKED'])
/**
 * As Node names what the system says, errno(3): `ENOSPC`. Its own begin with `ERR_`. Some of the system's it has no name for, of those
 * that disks say EUCLEAN, EBADMSG, ESTALE, EDQUOT and ENOMEDIUM.
 */
const systemCode = /^(?:E[A-Z0-9]+|Unknown system error -\d+)$/

/** Whether a disk said it, and may say otherwise the next time: everything else is a bug. */
export function isDiskError(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  const { code } = cause as NodeJS.ErrnoException
  const isCode = code !== undefined && (systemCode.test(code) || levelCodes.has(code))
  return isCode || isDiskError(cause.cause)
}

/** What a disk refuses may be left for the next time. Throws what is a bug. */
export function unlessDisk(cause: unknown): void {
  if (!isDiskError(cause)) throw cause
}
