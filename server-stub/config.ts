import { Type, type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { showText } from '../protocol/show-text.ts'
import { serverFault } from './faults.ts'

/** Every setting, once: what the flags, the environment variables and the validation are made of. */
export const settings = {
  data: Type.String({
    minLength: 1,
    description: 'folder of the embedded store: catalog, records, receipt key',
  }),
  host: Type.String({ minLength: 1, description: 'address to listen on', default: '127.0.0.1' }),
  port: Type.Integer({
    minimum: 0,
    maximum: 65_535,
    description: 'port to listen on; 0 lets the kernel choose',
    default: 8443,
  }),
} as const

export type SettingName = keyof typeof settings
export type Settings = { [Name in SettingName]: Static<(typeof settings)[Name]> }

/** What stands in no flag because nobody had to change it yet. */
export const serverLimits = {
  /** Requests of proven senders that are worked on at once; each holds at most one record and one piece of its body. */
  maxRequests: 64,
  /** Of them, those of one device. */
  maxPerDevice: 12,
  /** For how long the server must have waited for one of these to cut it off for a new one of the same device. */
  stalledMs: 10_000,
  /** What it has to bring in that time: who sends a byte now and then stands still too. */
  stalledBytes: 1024,
  /** Requests that have not proven a sender yet; one more cuts off the first of them. */
  maxStrangers: 256,
  /** Held of records that have not arrived whole, by those who have proven nothing. */
  maxStrangerBytes: 32 * 2 ** 20,
  /** And by all others: a request that needs more is told to come back. */
  maxHeldBytes: 256 * 2 ** 20,
  /** How long a record that arrived waits for the rest of its batch before it is made durable. */
  settleMs: 2000,
  /** Queries that are answered at once. */
  maxQueries: 8,
  maxQueriesPerDevice: 2,
  /** Of the records that a query for records names, how many bytes are read and inflated; the rest is left out. */
  maxQueryReadBytes: 256 * 2 ** 20,
  /** Of the streams that a query for streams asks about, how many records are looked at; the rest is left out. */
  maxQueryRows: 500_000,
  maxConnections: 4096,
  retryAfterSeconds: 5,
  /** A connection on which nothing moves for this long is closed. One that moves is never cut, however slow. */
  idleMs: 60_000,
  headersMs: 20_000,
  /** How long a stop waits for what is in flight; whole records that arrived are kept even then. */
  stopGraceMs: 10_000,
  /** For how long /readyz repeats what it found. */
  readyMs: 1000,
} as const

export type ServerLimits = { readonly [Name in keyof typeof serverLimits]: number }

export interface ServerConfig extends Settings {
  readonly limits: ServerLimits
}

export const variableOf = (name: SettingName): string => `LOGBOX_SERVER_${name.toUpperCase()}`

/** The settings that a command takes, from its flags, else the environment, else the defaults. */
export function readSettings<Name extends SettingName>(
  names: readonly Name[],
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Pick<Settings, Name> {
  const found = names.map((name) => [name, readSetting(name, flags[name], env[variableOf(name)])])
  return Object.fromEntries(found) as Pick<Settings, Name>
}

function readSetting(name: SettingName, flag: unknown, variable: string | undefined): unknown {
  const schema: TSchema = settings[name]
  if (flag !== undefined) return checked(schema, flag, 'USAGE_WRONG', `--${name}`)
  if (variable !== undefined) return checked(schema, variable, 'SETTING_INVALID', variableOf(name))
  if ('default' in schema) return schema.default
  throw serverFault('USAGE_WRONG', `--${name} is missing`)
}

function checked(
  schema: TSchema,
  text: unknown,
  fault: 'USAGE_WRONG' | 'SETTING_INVALID',
  name: string,
): unknown {
  const value = Type.IsInteger(schema) && /^\d+$/.test(String(text)) ? Number(text) : text
  if (Value.Check(schema, value)) return value
  const [error] = Value.Errors(schema, value)
  throw serverFault(fault, `${name} "${showText(String(text))}" ${error?.message ?? 'is wrong'}`)
}
