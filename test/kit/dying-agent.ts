import { runDaemon } from '../../agent/daemon.ts'
import { loadConfig } from '../../agent/load-config.ts'
import { realWorld } from '../../agent/world.ts'
import { dyingAt } from './dying-step.ts'

/** `node dying-agent.ts CONFIG STEP NTH`: the agent as it is, until it has told of STEP for the NTH time. */
const [, , config = '', step = '', nth = ''] = process.argv
const world = realWorld()
const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort())
await runDaemon(
  loadConfig(config, { env: {}, flags: new Map() }),
  { ...world, journal: dyingAt(world.journal, step, Number(nth)) },
  stopping.signal,
)
