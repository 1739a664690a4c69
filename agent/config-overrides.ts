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
/** The server's own variables begin with its name, too. */
const sharedWord = 'SERVER'
const wordsOf = (variable: string): string[] =>
  variable
    .slice(prefix.length)
    .split('_')
    .filter((word) => word !== sharedWord)
/** So many letters are a slip of the finger. */
const mostSlips = 2

/**
 * A misspelt one must not leave its default standing in silence. Others may be called after this program as well, such as those of
 * the server, of tests, or of a container's host: who shares no word with a setting, and is not nearly one, is not meant.
 */
function refuseUnknownVariables(env: Environment): void {
  const unknown = Object.keys(env).filter((name) => name.startsWith(prefix) && !variables.includes(name))
  const problems = unknown.flatMap((name) => {
    const meant = meantBy(name)
    return meant === undefined ? [] : [`${showFound(name)} is no setting: the nearest is ${meant}`]
  })
  if (problems.length > 0) throw invalid(problems)
}

function meantBy(name: string): string | undefined {
  const words = new Set(wordsOf(name))
  const alike = variables.filter((variable) => wordsOf(variable).some((word) => words.has(word)))
  if (alike.length > 0) return nearestName(name, alike).name
  const near = nearestName(name, variables)
  return near.edits <= mostSlips ? near.name : undefined
}
