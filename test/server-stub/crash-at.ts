import { runServer } from '../../server-stub/app.ts'
import { serverLimits } from '../../server-stub/config.ts'
import type { Journal } from '../../server-stub/journal.ts'
import { openParts } from '../../server-stub/parts.ts'

/** A real server that kills itself at the named fact: `node crash-at.ts DATA FACT`. It prints where it listens. */
const [, , data = '', fatal = ''] = process.argv
const parts = await openParts(data, () => undefined)
const journal = Object.fromEntries(
  Object.entries(parts.journal).map(([fact]) => [
    fact,
    (first: unknown) => {
      if (fact === 'listening') process.stdout.write(`${String(first)}\n`)
      if (fact === fatal) process.kill(process.pid, 'SIGKILL')
    },
  ]),
) as unknown as Journal
const config = { data, host: '127.0.0.1', port: 0, limits: serverLimits }
await runServer(config, { ...parts, journal }, new AbortController().signal)
