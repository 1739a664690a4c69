import { join } from 'node:path'

/** Small, so that a test crosses every boundary within a few hundred kilobytes and tries again within a blink. */
const quick = {
  chunks: { maxBytes: '32KiB', maxAge: '50ms' },
  queue: { maxBytes: '64MiB' },
  delivery: { requestMaxBytes: '128KiB', requestTimeout: '5s', retry: { min: '10ms', max: '100ms' } },
  shutdownGrace: '200ms',
  rescanInterval: '200ms',
}

export const deviceName = 'hexa-7'

interface ConfigFacts {
  readonly folder: string
  readonly state: string
  readonly publicKey: string
  readonly port: number
}

/** agent.yaml of a flight; `settings` replace the kit's, group by group. */
export function configOf({ folder, state, publicKey, port }: ConfigFacts, settings: object): object {
  const logs = join(folder, 'logs')
  return {
    device: deviceName,
    server: { url: `http://127.0.0.1:${port}`, publicKey },
    key: join(folder, 'device.key'),
    state,
    control: join(folder, 'agent.sock'),
    sources: [
      { paths: [join(logs, '*.bin')], format: 'binary', tags: { kind: 'blackbox' } },
      { paths: [join(logs, '*')], tags: { vehicle: deviceName } },
    ],
    ...quick,
    ...settings,
  }
}
