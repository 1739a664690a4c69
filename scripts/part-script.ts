/** A part of the program as a script of its own, which is loaded only where it is asked for. */
import { Script } from 'node:vm'

/** How it gets what the binary carries beside it. */
export type Carried = (name: string) => ArrayBuffer

type Load = (find: (name: string) => unknown, module: { exports: unknown }) => void

/** Of a CommonJS file. A code cache that V8 made of the same source spares compiling it; an empty one is none. */
export function scriptOf(name: string, source: string, codeCache: Uint8Array): Script {
  const cachedData = codeCache.length > 0 ? { cachedData: codeCache } : {}
  const wrapped = `(function (require, module) {${source}\n})`
  return new Script(wrapped, { filename: `logbox-agent-${name}.cjs`, ...cachedData })
}

/** Runs it and gives what it exports. It finds what Node brings, and for a SEA's assets what is carried: all else is in it. */
export function exportsOf(script: Script, carried: Carried): unknown {
  const sea = { getRawAsset: carried }
  const find = (name: string): unknown => (name === 'node:sea' ? sea : process.getBuiltinModule(name))
  const module = { exports: {} }
  const load = script.runInThisContext() as Load
  load(find, module)
  return module.exports
}
