/** LevelDB gives no codes, only words. */
const worldly =
  /no space left|permission denied|not permitted|read-only|too many open files|cannot allocate|quota exceeded/i
const full = /no space left|quota exceeded/i
/** For EDQUOT Node has no name, and gives its number on Linux. */
const edquot = 'Unknown system error -122'
const fullCodes = new Set(['ENOSPC', edquot])
const worldlyCodes = new Set([...fullCodes, 'EACCES', 'EPERM', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM'])

/** Nothing is wrong with the files: the disk is full, or they are not this user's. */
export function isOfTheWorld(cause: unknown): boolean {
  return says(cause, worldlyCodes, worldly)
}

/** The disk is full, or what this user may have of it. */
export function isWantOfRoom(cause: unknown): boolean {
  return says(cause, fullCodes, full)
}

function says(cause: unknown, codes: ReadonlySet<string>, words: RegExp): boolean {
  if (!(cause instanceof Error)) return false
  const { code = '' } = cause as NodeJS.ErrnoException
  return codes.has(code) || words.test(cause.message) || says(cause.cause, codes, words)
}
