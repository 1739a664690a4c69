import { Type } from 'typebox'
import { limits } from '../protocol/contract.ts'
import { areTags } from '../protocol/manifest.ts'
import type { Lane } from './queue/lane.ts'
import { duration, durationOrNever, oneOf, setting, strict, texts } from './setting-kinds.ts'
import { showSize } from './units.ts'

/** Some files that are to be carried, and how. */
export interface SourceConfig {
  /** Absolute globs. */
  readonly paths: readonly string[]
  readonly exclude: readonly string[]
  readonly format: 'text' | 'binary'
  readonly tags: ReadonlyMap<string, string>
  readonly priority: Lane
  /** Of files that are there when the agent starts for the first time. */
  readonly startAt: 'beginning' | 'end'
  /** A file that was not written to for so long is left alone until it is; undefined: none is. */
  readonly ignoreOlderMs: number | undefined
  /** A file that stood still for so long is taken for finished. */
  readonly closeAfterMs: number
}

/** A path with no part that a file's real path cannot have: such a glob would silently match nothing. */
function isGlob(value: string): boolean {
  const [root, ...parts] = value.split('/')
  const isReal = parts.every((part) => part !== '' && part !== '.' && part !== '..')
  return root === '' && isReal && value.isWellFormed() && !value.includes('\0')
}

function isTags(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const tags = new Map<string, unknown>(Object.entries(value))
  return [...tags].flat().every(isWellFormed) && areTags(tags)
}

function isWellFormed(value: unknown): boolean {
  return typeof value === 'string' && value.isWellFormed()
}

export const sourceSchema = Type.Object(
  {
    paths: texts(
      {
        description: 'The files to carry, as absolute globs: `*` within a name, `**` for any folders.',
        expected: 'a list of absolute globs, such as /var/log/flight/*.log, without . or .. or an empty part',
      },
      isGlob,
      1,
    ),
    exclude: texts(
      {
        description:
          'Globs of files to leave out, compared with the file name, or with the whole path where they hold a `/`.',
        expected: 'a list of globs',
        default: ['*.gz', '*.zst', '*.xz', '*.bz2', '*.tmp', '*.swp'],
      },
      (value) => value !== '' && !value.includes('\0'),
    ),
    format: oneOf(['text', 'binary'], 'Chunks of text prefer to end at a newline, and never need one.'),
    tags: setting<Record<string, string>>(
      {
        description: 'What the server shall know of these files.',
        expected: `a map of names of 1 to 64 bytes to texts (a number in quotes), ${showSize(limits.maxTagsBytes)} in all`,
        default: {},
      },
      isTags,
    ),
    priority: oneOf(
      ['normal', 'high', 'low'],
      'What is delivered first when more waits than the link can carry.',
    ),
    startAt: oneOf(
      ['beginning', 'end'],
      'Where reading begins in files that are there when the agent starts with an empty state; later ones are read ' +
        'from their beginning.',
    ),
    ignoreOlder: durationOrNever(
      'A file that is not known yet and was not written to for this long is left alone. Once it is written to, all of ' +
        'it is read.',
      { from: '1s', to: '3650d' },
    ),
    closeAfter: duration(
      'A file that stood still for this long is taken for finished: a binary one is read once more against what was ' +
        'shipped, and one that no glob leads to any more is let go.',
      { from: '100ms', to: '1d', default: '60s' },
    ),
  },
  strict('a source: a map with paths'),
)
