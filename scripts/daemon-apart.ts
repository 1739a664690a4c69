/** Stands in for agent/take-over.ts inside the binaries: a command needs nothing of the daemon. */
import type * as daemonPart from '../agent/take-over.ts'
import { partFromBinary } from './part-from-binary.ts'

const daemon = partFromBinary('daemon') as () => typeof daemonPart

export const takeOver: typeof daemonPart.takeOver = (...given) => daemon().takeOver(...given)
