import { writeFileSync } from 'node:fs'
import { runDaemon } from '../../agent/daemon.ts'
import { loadConfig } from '../../agent/load-config.ts'
import { realWorld } from '../../agent/world.ts'
import { ToldSizes } from './told-sizes.ts'

/** `node telling-agent.ts CONFIG LOGS FILE`: the agent as it is; at its end it tells FILE what it can know of the files in LOGS. */
const [, , config = '', logs = '', file = ''] = process.argv
const world = realWorld()
const told = new ToldSizes(logs)
const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort())
await runDaemon(
  loadConfig(config, { env: {}, flags: new Map() }),
  { ...world, files: told.listenTo(world.files) },
  stopping.signal,
)
writeFileSync(file, JSON.stringify(told.proven))
