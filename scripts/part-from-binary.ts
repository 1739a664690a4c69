import { getAsset, getRawAsset } from 'node:sea'
import { exportsOf, scriptOf } from './part-script.ts'

/**
 * A part of the program from the binary, by its name. V8 checks the code cache at once, against the flags that it has now;
 * the part itself runs where its exports are asked for.
 */
export function partFromBinary(name: string): () => unknown {
  const script = scriptOf(name, getAsset(name, 'utf8'), new Uint8Array(getRawAsset(`${name}-cache`)))
  return () => exportsOf(script)
}
