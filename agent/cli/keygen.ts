import { resolve } from 'node:path'
import type { CommandModule } from 'yargs'
import { base64url, sha256 } from '../../protocol/ids.ts'
import { showJson, showText } from '../../protocol/show-text.ts'
import { agentFault } from '../faults.ts'
import { jsonOption } from './options.ts'
import type { Terminal } from './terminal.ts'

interface KeygenArguments {
  readonly out: string
  readonly json: boolean
}

export function keygenCommand(terminal: Terminal): CommandModule<object, KeygenArguments> {
  return {
    command: 'keygen',
    describe: 'Make the signing key of this drone',
    builder: (yargs) =>
      yargs
        .option('out', {
          type: 'string',
          requiresArg: true,
          demandOption: true,
          describe: 'The new file; an existing one is never overwritten',
        })
        .option('json', jsonOption)
        .example('$0 keygen --out /var/lib/logbox/device.key', ''),
    handler: (argv) => keygen(argv, terminal),
  }
}

async function keygen({ out, json }: KeygenArguments, terminal: Terminal): Promise<void> {
  if (out === '') throw agentFault('USAGE', '--out: expected a path, found nothing')
  const { makeKeyFile } = await import('../make-key.ts')
  const file = resolve(out)
  const { bytes } = makeKeyFile(file)
  const facts = { publicKey: base64url(bytes), fingerprint: base64url(sha256(bytes)), file }
  terminal.print(json ? `${showJson(facts)}\n` : keygenText(facts))
}

function keygenText({ publicKey, fingerprint, file }: Readonly<Record<string, string>>): string {
  return [
    `public key   ${publicKey}`,
    `fingerprint  ${fingerprint}`,
    `file         ${showText(file ?? '')}`,
    `next         logbox-server device add NAME --key ${publicKey}`,
    '',
  ].join('\n')
}
