import { exits, Fault, type FaultKind } from '../protocol/fault.ts'

/** Every expected failure of the agent: what it means to the shell, and what a person can do about it. */
const kinds = {
  USAGE: { exit: exits.usage, hint: 'see "logbox-agent --help"' },
  OUTPUT_UNWRITABLE: { exit: exits.disk, hint: 'make room where the output goes' },

  CONFIG_MISSING: { exit: exits.noInput, hint: 'name the configuration with --config FILE' },
  CONFIG_UNREADABLE: { exit: exits.notAllowed, hint: 'run as a user who may read it' },
  CONFIG_INVALID: { exit: exits.config, hint: 'see "logbox-agent run --help"' },

  KEY_MISSING: { exit: exits.noInput, hint: 'run "logbox-agent keygen --out FILE"' },
  KEY_UNREADABLE: { exit: exits.notAllowed, hint: 'run as the user who owns the key' },
  KEY_EXPOSED: { exit: exits.notAllowed, hint: 'make it private with "chmod 600 FILE"' },
  KEY_INVALID: {
    exit: exits.config,
    hint: 'put the key back, or make another with "logbox-agent keygen --out FILE"',
  },
  KEY_EXISTS: { exit: exits.notAllowed, hint: 'a key is never overwritten: choose another name' },
  KEY_FORBIDDEN: { exit: exits.notAllowed, hint: 'choose a folder that this user may write to' },
  KEY_UNWRITABLE: { exit: exits.disk, hint: 'check that the folder is there and the disk has room' },
  SIGNER_BROKEN: {
    exit: exits.bug,
    hint: 'do not fly with this build: report the version and the processor',
  },

  STATE_HELD: { exit: exits.tryAgain, hint: 'stop the other agent first' },
  STATE_FOREIGN: {
    exit: exits.config,
    hint: 'use the device name and key it was made with, or another state folder',
  },
  QUEUE_UNREADABLE: { exit: exits.disk, hint: 'keep the folder as it is and check the disk' },

  TRUST_UNUSABLE: {
    exit: exits.config,
    hint: 'check server.ca, server.clientCertificate and server.clientKey: PEM files that the agent may read',
  },
  GATE_UNUSABLE: { exit: exits.config, hint: 'check delivery.gate.mavlink, and who else listens there' },

  AGENT_ABSENT: { exit: exits.unavailable, hint: 'start it with "logbox-agent run --config FILE"' },
  AGENT_GONE: { exit: exits.unavailable, hint: 'what was queued is safe: start the agent and flush again' },
  AGENT_SILENT: { exit: exits.unavailable, hint: 'look into its journal, or restart it' },
  CONTROL_FORBIDDEN: { exit: exits.notAllowed, hint: "run as root or as a member of the agent's group" },
  CONTROL_UNUSABLE: { exit: exits.disk, hint: 'check the path of the control socket and its folder' },
  FLUSH_UNFINISHED: {
    exit: exits.tryAgain,
    hint: 'what is queued survives power loss; flush again to finish',
  },
} as const satisfies Record<string, FaultKind>

export type AgentFaultCode = keyof typeof kinds

/** A fault of the table: `message` says what and where, the table what now. */
export function agentFault(code: AgentFaultCode, message: string, options?: ErrorOptions): Fault {
  return new Fault(code, kinds[code], message, options)
}
