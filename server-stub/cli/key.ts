import { base64url } from '../../protocol/ids.ts'
import { exits } from '../../protocol/fault.ts'
import { showJson } from '../../protocol/show-text.ts'
import { openSigner } from '../parts.ts'
import { dataFolder, fingerprint, jsonFlag, settingFlag, type Command } from './command.ts'

export const key: Command = {
  usage: 'key',
  describe: "print the receipt key's public half, which drones pin",
  flags: (yargs) => jsonFlag(settingFlag(yargs, 'data')).example('$0 key --data /var/lib/logbox-server', ''),
  run: async (args, terminal) => {
    const { publicKey } = await openSigner(dataFolder(args, terminal))
    const text = base64url(publicKey.bytes)
    const facts = showJson({ publicKey: text, fingerprint: fingerprint(publicKey) })
    await terminal.print(`${args['json'] === true ? facts : text}\n`)
    return exits.done
  },
}
