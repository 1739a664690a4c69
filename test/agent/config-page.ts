import { settingsSchema } from '../../agent/config.ts'
import { settings, showDefault, type SchemaNode } from '../../agent/settings.ts'

const opening = `# The agent's configuration

Made from \`agent/config.ts\`; \`npm test -- test/agent/config-page.test.ts -u\` makes it again. Do not edit it.

\`logbox-agent run --config agent.yaml\` reads one YAML file. A setting is taken from its flag, else from its environment
variable, else from the file, else it has its default. Every setting outside of \`sources\` has a flag of \`run\` and a
variable; an empty variable counts as none.

- Sizes: \`1MiB\`, \`500KB\` or a plain number of bytes. KiB, MiB, GiB, TiB count in 1024, KB, MB, GB, TB in 1000.
- Durations: \`1500ms\`, \`5s\`, \`2m\`, \`1h\`, \`2d\`. Never a plain number.
- Relative paths start at the folder of the file, those in a flag at the folder you are in.
- A wrong or unknown setting, or a variable that is misspelt, ends with exit status 78 and a line for each: the file, line
  and column or the variable, what was expected and what was found. A wrong flag ends with 64.
- A variable counts as misspelt where it is none and begins with the group of some, as \`LOGBOX_QUEUE_\` (not with
  \`LOGBOX_SERVER_\`, which the server's own do, too), or where it is a slip from one of 9 letters or more, or two slips from
  one of 12. Those that the host of a container sets, such as \`LOGBOX_QUEUE_SERVICE_HOST\`, never do.
- \`status\` and \`flush\` read the same file and variables to find the control socket; with \`--control SOCKET\` they
  need neither.

\`\`\`yaml
device: mylittledrone
server:
  url: https://logs.example.org
  publicKey: fv3i21BNB2QdOZSh3BNEH3C6B7d2pqty591FgSxvxu8
key: /var/lib/logbox/device.key
state: /var/lib/logbox
control: /run/logbox/agent.sock
sources:
  - paths: ['/var/log/flight/*.log']
    tags: { vehicle: hexa-7 }
\`\`\`
`

/** docs/configuration.md, as the formatter would leave it. */
export function configPage(): string {
  return [opening, ...sectionsOf(settingsSchema, '')].join('\n')
}

function* sectionsOf(node: SchemaNode, name: string): Generator<string> {
  for (const [part, child] of Object.entries(node.properties ?? {})) {
    yield* sectionsOf(child, name === '' ? part : `${name}.${part}`)
  }
  if (node.items) yield* sectionsOf(node.items, `${name}[]`)
  if (!node.properties && !node.items) yield section(node, name)
}

function section(node: SchemaNode, name: string): string {
  const initial = showDefault(node.default)
  const names = settings.find((setting) => setting.path.join('.') === name)
  const facts = [
    `- Expected: ${node.expected?.replaceAll('*', '\\*').replaceAll(' _ ', ' \\_ ')}`,
    initial !== undefined
      ? `- Default: \`${initial}\``
      : node.isOptional
        ? '- Default: none'
        : '- Must be given',
    ...(names ? [`- Variable: \`${names.variable}\`, flag: \`--${names.flag}\``] : []),
  ]
  return [`## \`${name}\``, '', node.description, '', ...facts, ''].join('\n')
}
