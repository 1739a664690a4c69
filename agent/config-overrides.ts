import { resolve } from 'node:path'
import { invalid, showFound } from './config-file.ts'
import { nearestName } from './nearest-name.ts'
import { settings, type Setting } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What was set outside of the file; flags, by their names, win over variables. */
export interface Overrides {
  readonly env: Environment
  readonly flags: ReadonlyMap<string, string>
}

export interface Override {
  readonly value: unknown
  /** The variable or flag, as the person wrote it. */
  readonly name: string
  readonly isFlag: boolean
}

/** By the dotted path of its setting. */
export type OverrideMap = ReadonlyMap<string, Override>

/** What was set. Throws CONFIG_INVALID for a variable that is none of ours, but is called so. */
export function readOverrides({ env, flags }: Overrides): OverrideMap {
  refuseUnknownVariables(env)
  const overrides = new Map<string, Override>()
  for (const setting of settings) {
    const override = readOverride(setting, env[setting.variable], flags.get(setting.flag))
    if (override) overrides.set(setting.path.join('.'), override)
  }
  return overrides
}

function readOverride(setting: Setting, inEnv = '', inFlag?: string): Override | undefined {
  if (inFlag !== undefined) {
    const text = setting.form === 'path' && inFlag !== '' ? resolve(inFlag) : inFlag
    return { value: fromText(text, setting), name: `--${setting.flag}`, isFlag: true }
  }
  // An empty variable counts as none: a unit file has no other way to take one back.
  if (inEnv === '') return undefined
  return { value: fromText(inEnv, setting), name: setting.variable, isFlag: false }
}

function fromText(text: string, setting: Setting): unknown {
  if (setting.form === 'list') return text.split(',').map((item) => item.trim())
  if (setting.form === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

const prefix = 'LOGBOX_'
const variables = settings.map((setting) => setting.variable)
/** What the server and the hosts of its containers set begins with its name, too. */
const sharedGroup = 'SERVER'
const groupOf = (variable: string): string => variable.slice(prefix.length).split('_')[0] ?? ''
/** What has a name of one word is in no group. */
const grouped = variables.filter((variable) => variable.slice(prefix.length).includes('_'))
const ownGroups = new Set(grouped.map(groupOf).filter((group) => group !== sharedGroup))
/** Kubernetes sets the first four for each service in reach, links of Docker all but those of a SERVICE. */
const isOfContainers = (variable: string): boolean =>
  /_(?:SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_.*|NAME|ENV_.*)$/.test(variable)

/**
 * A misspelt one must not leave its default standing in silence, but a drone must not stay on the ground for one that others
 * have: the server, tests, scripts, the host of a container. So that is refused of which it is nearly certain what was meant.
 */
function refuseUnknownVariables(env: Environment): void {
  const given = Object.keys(env).filter((name) => name.startsWith(prefix) && env[name])
  const problems = given.flatMap((name) => {
    const meant = variables.includes(name) ? undefined : meantBy(name)
    return meant === undefined ? [] : [`${showFound(name)} is no setting: the nearest is ${meant}`]
  })
  if (problems.length > 0) throw invalid(problems)
}

function meantBy(name: string): string | undefined {
  if (isOfContainers(name)) return undefined
  const group = groupOf(name)
  const isGrouped = ownGroups.has(group)
  const near = nearestName(name, isGrouped ? grouped.filter((other) => groupOf(other) === group) : variables)
  return isGrouped || near.edits <= mostSlips(near.name) ? near.name : undefined
}

/** So many letters may be slips of the finger; with as many wrong ones a short name is another. */
function mostSlips(variable: string): number {
  const letters = variable.slice(prefix.length).replaceAll('_', '').length
  if (letters < 9) return 0
  return letters < 12 ? 1 : 2
}
