import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it; returns the first that had to be made. Throws as `mkdir` does; EEXIST where a file is in
 * the way.
 */
export function makeFolders(path: string, mode: number): string | undefined {
  const whole = resolve(path)
  if (isFolder(whole)) return undefined
  // Not Node's own way to make those above: where the last one cannot be, as in /proc, that never ends.
  const firstMade = makeFolders(dirname(whole), mode)
  try {
    mkdirSync(whole, mode)
  } catch (cause) {
    // Another may have made it since.
    if (!isFolder(whole)) throw cause
  }
  return firstMade ?? whole
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
