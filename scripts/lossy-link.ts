/**
 * `npm run lossy-link`: a bad link between anything that speaks TCP and its server, on the loopback address. Prints JSON lines:
 * where it listens, each change of the weather with what passed so far, and the sums at the end.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openLossyLink, type LossyLink } from '../test/kit/lossy-link.ts'
import { parseWeather, playWeather, type Weather } from '../test/kit/lossy-link-weather.ts'

const help = `npm run lossy-link -- --to [HOST:]PORT [--weather FILE] [--listen PORT] [--seed N]

Relays connections to 127.0.0.1 at a port that it prints (or at --listen) to PORT of this machine, or of HOST, through
the weather of a JSON file: see docs/testing-network-loss.md, and test/kit/weather for some. Without --weather the
link is perfect. Ends at SIGINT or SIGTERM.

Example: npm run -s lossy-link -- --to 8443 --weather test/kit/weather/tunnel.json`

const { values: options } = parseArgs({
  options: {
    to: { type: 'string' },
    weather: { type: 'string' },
    listen: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const perfect: Weather = { steps: [{ forMs: 1 }], isLooped: false }

async function main(to: string): Promise<void> {
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort())
  const weather =
    options.weather === undefined ? perfect : parseWeather(readFileSync(options.weather, 'utf8'))
  const { host, port } = targetOf(to)
  await using link = await openLossyLink({
    host,
    port,
    listen: portOf(options.listen),
    seed: Number(options.seed),
  })
  tell({ listening: link.port, to: `${host}:${port}` })
  const startMs = performance.now()
  const now = (): object => ({ atMs: Math.round(performance.now() - startMs), ...sums(link) })
  await playWeather(link, weather, (step) => tell({ ...now(), weather: step }), stopping.signal)
  if (!stopping.signal.aborted) await stopped(stopping.signal)
  tell({ ...now(), ended: true })
}

const tell = (fact: object): void => console.log(JSON.stringify(fact))

function sums({ connections, bytesToServer, bytesToClient, stalls }: LossyLink): object {
  return { connections, bytesToServer, bytesToClient, stalls }
}

function targetOf(to: string): { readonly host: string; readonly port: number } {
  const colon = to.lastIndexOf(':')
  return { host: colon < 0 ? '127.0.0.1' : to.slice(0, colon), port: portOf(to.slice(colon + 1)) }
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port < 65_536)) throw new TypeError(`${text} is no port`)
  return port
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}

if (options.help || options.to === undefined) {
  console.log(help)
  process.exitCode = options.help ? 0 : 64
} else {
  await main(options.to).catch((error: unknown) => {
    console.error(`lossy-link: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 64
  })
}
