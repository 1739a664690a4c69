import type { Argv } from 'yargs'
import { base64url } from '../../protocol/ids.ts'
import { exits } from '../../protocol/fault.ts'
import { showJson, showText } from '../../protocol/show-text.ts'
import type { DeviceRow, Registration } from '../catalog/catalog.ts'
import { serverFault } from '../faults.ts'
import { makeStore, openStore } from '../parts.ts'
import {
  dataFolder,
  deviceArgument,
  fingerprint,
  jsonFlag,
  settingFlag,
  textArgument,
  type Command,
} from './command.ts'
import { isoTime } from './iso-time.ts'
import { parseRegistrationKey } from './registration-key.ts'

const nameArgument = (yargs: Argv): Argv =>
  yargs.positional('name', { type: 'string', demandOption: true, describe: 'name of the device' })

export const addDevice: Command = {
  usage: 'add <name>',
  describe: "register a device's public key",
  flags: (yargs) =>
    nameArgument(jsonFlag(settingFlag(yargs, 'data')))
      .option('key', { type: 'string', demandOption: true, requiresArg: true, describe: 'its public key' })
      .example('$0 device add hexa-7 --key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo --data DIR', ''),
  run: async (args, terminal) => {
    const device = deviceArgument(args, 'name')
    const key = parseRegistrationKey(textArgument(args, 'key'))
    const data = dataFolder(args, terminal)
    await using parts = await makeStore(data)
    // It may be what was meant before the first start, or a slip in --data.
    if (parts.isNew) terminal.tell(`there was no store at ${showText(data)}: made a new one\n`)
    const registration = await parts.catalog.addDevice(device, key, parts.clock.now())
    refuseUnlessActive(registration, device)
    const said = `${device} ${registration === 'added' ? 'is registered' : 'was registered before'}`
    const facts = { device, publicKey: base64url(key.bytes), fingerprint: fingerprint(key) }
    const json = showJson({ ...facts, added: registration === 'added' })
    await terminal.print(`${args['json'] === true ? json : `${said}: ${facts.fingerprint}`}\n`)
    return exits.done
  },
}

/** A revoked key may be in other hands: nothing makes it good again. */
function refuseUnlessActive(registration: Registration, device: string): void {
  if (registration === 'otherKey') throw serverFault('NAME_TAKEN', `${device} is registered with another key`)
  if (registration === 'revoked')
    throw serverFault('KEY_IS_REVOKED', `the key of ${device} was revoked, under this name or another`)
}

export const listDevices: Command = {
  usage: 'list',
  describe: 'list the registered devices',
  flags: (yargs) => jsonFlag(settingFlag(yargs, 'data')).example('$0 device list --data DIR --json', ''),
  run: async (args, terminal) => {
    await using parts = await openStore(dataFolder(args, terminal))
    const devices = (await parts.catalog.devices()).map(tellDevice)
    const lines = devices.map(({ device, state, publicKey, fingerprint, lastSeen }) =>
      [device, state, publicKey, fingerprint, lastSeen ?? 'never'].join('\t'),
    )
    const text = args['json'] === true ? [showJson(devices)] : lines
    await terminal.print(text.map((line) => `${line}\n`).join(''))
    return exits.done
  },
}

function tellDevice({ device, key, addedMs, revokedMs, lastSeenMs }: DeviceRow) {
  return {
    device,
    publicKey: base64url(key.bytes),
    fingerprint: fingerprint(key),
    state: revokedMs === null ? 'active' : 'revoked',
    added: isoTime(addedMs),
    revoked: revokedMs === null ? null : isoTime(revokedMs),
    lastSeen: lastSeenMs === null ? null : isoTime(lastSeenMs),
  }
}

export const revokeDevice: Command = {
  usage: 'revoke <name>',
  describe: 'refuse new records of a device from now on, and for good',
  flags: (yargs) =>
    nameArgument(jsonFlag(settingFlag(yargs, 'data'))).example('$0 device revoke hexa-7 --data DIR', ''),
  run: async (args, terminal) => {
    const device = deviceArgument(args, 'name')
    await using parts = await openStore(dataFolder(args, terminal))
    const isKnown = await parts.catalog.revokeDevice(device, parts.clock.now())
    if (!isKnown) throw serverFault('DEVICE_MISSING', `no device ${device}`)
    const json = showJson({ device, state: 'revoked' })
    await terminal.print(args['json'] === true ? `${json}\n` : `${device} is revoked; what is stored stays\n`)
    return exits.done
  },
}
