/**
 * Stands in for agent/cli/program.ts inside the binaries: what reads command lines and configurations is half of the
 * program, and the daemon does not need it.
 */
import type * as program from '../agent/cli/program.ts'
import { partFromBinary } from './part-from-binary.ts'

const commands = partFromBinary('commands') as () => typeof program

export const runProgram: typeof program.runProgram = (...given) => commands().runProgram(...given)
