import type { TSchema } from 'typebox'
import { settingsSchema } from './config.ts'
import type { SettingOptions } from './setting-kinds.ts'

/** A setting that a variable and a flag can give. */
export interface Setting extends Required<Omit<SettingOptions, 'default'>> {
  readonly path: readonly string[]
  readonly default: unknown
  readonly variable: string
  readonly flag: string
}

/** The schema as a tree: groups have properties, lists have items, the rest are settings. */
export type SchemaNode = TSchema &
  Partial<SettingOptions> & {
    readonly properties?: Readonly<Record<string, SchemaNode>>
    readonly items?: SchemaNode
  }

/** Every setting outside of `sources`, in the order of the schema. */
export const settings: readonly Setting[] = [...settingsIn(settingsSchema, [])]

function* settingsIn(node: SchemaNode, path: readonly string[]): Generator<Setting> {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    yield* settingsIn(child, [...path, name])
  }
  if (!node.properties && !node.items) yield toSetting(node, path)
}

function toSetting(node: SchemaNode, path: readonly string[]): Setting {
  const { description = '', expected = '', form = 'text', isOptional = false } = node
  const words = path.flatMap((name) => name.split(/(?=[A-Z])/))
  const variable = ['LOGBOX', ...words].join('_').toUpperCase()
  return {
    path,
    description,
    expected,
    form,
    isOptional,
    default: node.default,
    variable,
    flag: words.join('-').toLowerCase(),
  }
}

/** The schema of what stands at a path of names and list places. */
export function schemaAt(path: readonly string[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = settingsSchema
  for (const name of path) {
    node = node?.items ?? (Object.hasOwn(node?.properties ?? {}, name) ? node?.properties?.[name] : undefined)
  }
  return node
}

/** A setting's default as a person would write it. */
export function showDefault(value: unknown): string | undefined {
  return value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value)
}
