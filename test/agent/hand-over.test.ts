import { expect, test } from 'vitest'
import { parseConfigFile } from '../../agent/config-file.ts'
import { packConfig, unpackConfig } from '../../agent/hand-over.ts'
import { checkConfig } from '../../agent/load-config.ts'

const config = `device: mylittledrone
server:
  url: https://logs.example.org/under/
  publicKey: [11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo, PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw]
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
  const checked = checkConfig(parseConfigFile('agent.yaml', Buffer.from(config)), '/etc/logbox', {
    env: {},
    flags: new Map(),
  })
  const arrived = unpackConfig(packConfig(checked))
  expect(arrived).toEqual(checked)
  expect(arrived.sources[0]?.tags.get('__proto__')).toBe('a name like another')
  expect(arrived.server.publicKeys.map((key) => key.handle.asymmetricKeyType)).toEqual(['ed25519', 'ed25519'])
})
