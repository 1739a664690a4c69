/** The part of the program that reads command lines and configurations, as a script of its own. */
import { Script } from 'node:vm'
import type { runProgram } from '../agent/cli/program.ts'

export interface Commands {
  readonly runProgram: typeof runProgram
}

type Load = (require: (name: string) => unknown, module: { exports: unknown }) => void

/** Of a CommonJS file. A code cache that V8 made of the same source spares compiling it; an empty one is none. */
export function scriptOf(source: string, codeCache: Uint8Array): Script {
  const cachedData = codeCache.length > 0 ? { cachedData: codeCache } : {}
  const wrapped = `(function (require, module) {${source}\n})`
  return new Script(wrapped, { filename: 'logbox-agent-commands.cjs', ...cachedData })
}

/** It finds only what Node brings: all else is in it. */
export function loadCommands(script: Script): Commands {
  const module = { exports: {} }
  const load = script.runInThisContext() as Load
  load((name) => process.getBuiltinModule(name), module)
  return module.exports as Commands
}
