import { carried } from './carried.ts'
import { exportsOf, scriptOf } from './part-script.ts'

/**
 * A part of the program from the binary, by its name. V8 checks the code cache at once, against the flags that it has now;
 * the part itself runs where its exports are asked for.
 */
export function partFromBinary(name: string): () => unknown {
  const source = Buffer.from(carried(name)).toString()
  const script = scriptOf(name, source, new Uint8Array(carried(`${name}-cache`)))
  return () => exportsOf(script, (asset) => carried(asset))
}
