import { equalBytes } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Label } from '../catalog/catalog.ts'

/** Whether path and tags are the same; the order of tags says nothing. */
export function equalLabels(a: Label, b: Label): boolean {
  if (typeof a.path !== typeof b.path || a.tags.size !== b.tags.size) return false
  if (!equalBytes(logPathToBytes(a.path), logPathToBytes(b.path))) return false
  return [...a.tags].every(([name, value]) => b.tags.get(name) === value)
}
