import { expect, test } from 'vitest'
import { packConfig, unpackConfig } from '../../agent/hand-over.ts'
import { configOf, otherKey, publicKey } from '../kit/config-text.ts'

const config = `device: mylittledrone
server:
  url: https://logs.example.org/under/
  publicKey: [${publicKey}, ${otherKey}]
key: device.key
state: /var/lib/logbox
control: /run/logbox/agent.sock
sources:
  - paths: ['/var/log/flight/*.log']
    tags: { hull: '7', __proto__: 'a name like another', grüße: '\u{1F681}' }
  - paths: ['/var/log/*.bin']
    format: binary
`

test('a configuration that is handed over arrives as it was', () => {
  const checked = configOf(config)
  const arrived = unpackConfig(packConfig(checked))
  expect(arrived).toEqual(checked)
  expect(arrived.sources[0]?.tags.get('__proto__')).toBe('a name like another')
  expect(arrived.server.publicKeys.map((key) => key.handle.asymmetricKeyType)).toEqual(['ed25519', 'ed25519'])
})
