/** Stands in for classic-level's binding.js inside the binaries: LevelDB comes from the binary, not node_modules. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRawAsset } from 'node:sea'

/**
 * The system loads libraries from files only, so the addon becomes one for a moment, in a folder that no other user
 * can enter; once it is mapped, it needs no name.
 */
export function loadAddon(): unknown {
  const folder = mkdtempSync(join(tmpdir(), 'logbox-'))
  const file = join(folder, 'classic-level.node')
  try {
    writeFileSync(file, new Uint8Array(getRawAsset('classic-level')))
    const addon = { exports: {} }
    process.dlopen(addon, file)
    return addon.exports
  } catch (cause) {
    throw new Error(`cannot load LevelDB from ${tmpdir()}: set TMPDIR to a folder that allows programs`, {
      cause,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
