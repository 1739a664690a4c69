import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'

/** The rules of direction. Each is a pure function from the sources to the lines that break it. */
type Sources = ReadonlyMap<string, string>

const root = new URL('../', import.meta.url)
const shipped = ['protocol', 'agent', 'server-stub']
const sources: Sources = new Map(
  [...shipped, 'test', 'scripts']
    .flatMap(filesUnder)
    .map((path) => [path, readFileSync(new URL(path, root), 'utf8')]),
)

function filesUnder(folder: string): string[] {
  if (!existsSync(new URL(folder, root))) return []
  const names = readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
}

const lexemes =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|\$\{[^}]*\}|[^`\\])*`/g

const isComment = (lexeme: string): boolean => lexeme.startsWith('/')
const withoutComments = (source: string): string =>
  source.replaceAll(lexemes, (lexeme) => (isComment(lexeme) ? ' ' : lexeme))

/** What is run: of a template, what it interpolates. */
function codeOf(source: string): string {
  return source.replaceAll(lexemes, (lexeme) => {
    if (!lexeme.startsWith('`')) return isComment(lexeme) ? ' ' : "''"
    return [...lexeme.matchAll(/\$\{([^}]*)\}/g)].map((match) => match[1]).join(';')
  })
}

/** What a file imports: files of this project by their path in it, packages as they are written. */
function importsOf(path: string, source: string): string[] {
  const specifiers =
    /(?:^|[\n;])\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g
  const found = [...withoutComments(source).matchAll(specifiers)].map((match) => match[1] ?? match[2] ?? '')
  return found.map((name) => (name.startsWith('.') ? posix.join(posix.dirname(path), name) : name))
}

const folderOf = (path: string): string => path.split('/', 1)[0] ?? ''

/** Each pair of a file and what it imports that should not be. */
function importsThat(given: Sources, isWrong: (path: string, imported: string) => boolean): string[] {
  return [...given].flatMap(([path, source]) =>
    importsOf(path, source)
      .filter((imported) => isWrong(path, imported))
      .map((imported) => `${path} imports ${imported}`),
  )
}

const packagesOfProtocol = new Set(['node:crypto', 'node:zlib', 'cborg'])

function breaksPurity(path: string, imported: string): boolean {
  return (
    folderOf(path) === 'protocol' && folderOf(imported) !== 'protocol' && !packagesOfProtocol.has(imported)
  )
}

function breaksDirection(path: string, imported: string): boolean {
  const from = folderOf(path)
  if (from !== 'agent' && from !== 'server-stub') return false
  const isOurs = sourceFolders.has(folderOf(imported))
  return isOurs && folderOf(imported) !== from && folderOf(imported) !== 'protocol'
}

const sourceFolders = new Set([...shipped, 'test', 'scripts', 'docs'])

function isBareBuiltin(_path: string, imported: string): boolean {
  return !imported.startsWith('node:') && builtinModules.includes(imported)
}

const worldMakers = new Set([
  'agent/main.ts',
  'agent/world.ts',
  'server-stub/main.ts',
  'server-stub/parts.ts',
])
const worldly =
  /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\s*\.|\bperformance\.now\b/g

function worldlyWords(given: Sources): string[] {
  return [...given]
    .filter(([path]) => shipped.includes(folderOf(path)) && !worldMakers.has(path))
    .flatMap(([path, source]) => [...codeOf(source).matchAll(worldly)].map((match) => `${path}: ${match[0]}`))
}

function reExports(given: Sources): string[] {
  return [...given]
    .filter(([, source]) => /\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\})[^\n;]*?\sfrom\s/.test(codeOf(source)))
    .map(([path]) => path)
}

const namelessFiles = /(^|\/)(index|utils?|helpers?|common|misc|types)\.ts$/

/** Each file that imports itself through others. */
function cyclesIn(given: Sources): string[] {
  const edges = new Map([...given].map(([path, source]) => [path, importsOf(path, source)]))
  return [...given.keys()].filter((path) => reachableFrom(path, edges).has(path))
}

function reachableFrom(start: string, edges: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set<string>()
  const open = [...(edges.get(start) ?? [])]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    open.push(...(edges.get(path) ?? []))
  }
  return seen
}

/** What is loaded with each of these files, as they are written: of a type nothing is. */
function loadedWith(starts: readonly string[], given: Sources): Set<string>[] {
  const typeOnly = /\bimport type\b[^;]*?\bfrom\s*'[^']+'/g
  const withoutTypes = [...given].map(
    ([path, source]) => [path, importsOf(path, source.replaceAll(typeOnly, ''))] as const,
  )
  const edges = new Map(withoutTypes)
  return starts.map((start) => reachableFrom(start, edges))
}

function longFiles(given: Sources, maxLines: number): string[] {
  return [...given].filter(([, source]) => source.split('\n').length - 1 > maxLines).map(([path]) => path)
}

function missingImports(given: Sources): string[] {
  return importsThat(
    given,
    (_path, imported) => sourceFolders.has(folderOf(imported)) && !given.has(imported),
  )
}

describe('the tree', () => {
  test('protocol/ imports only itself, node:crypto, node:zlib and cborg', () => {
    expect(importsThat(sources, breaksPurity)).toEqual([])
  })

  test('agent/ and server-stub/ import themselves and protocol/', () => {
    expect(importsThat(sources, breaksDirection)).toEqual([])
  })

  test('the clock, chance, timers and the process are used where the world is made and nowhere else', () => {
    expect(worldlyWords(sources)).toEqual([])
  })

  test('each import names the file that it means', () => {
    expect(missingImports(sources)).toEqual([])
    expect(importsThat(sources, isBareBuiltin)).toEqual([])
  })

  test('no file only passes on what others export', () => {
    expect(reExports(sources)).toEqual([])
  })

  test('each file is named after what it does', () => {
    expect([...sources.keys()].filter((path) => namelessFiles.test(path))).toEqual([])
  })

  test('no file imports itself through others', () => {
    expect(cyclesIn(sources)).toEqual([])
  })

  test('the agent that runs loads nothing of what reads command lines and configurations', () => {
    const loaded = loadedWith(['agent/daemon.ts', 'agent/world.ts', 'agent/hand-over.ts'], sources)
    expect(
      loaded.flatMap((names) => [...names]).filter((name) => /^(yargs|yaml|typebox|tweetnacl)\b/.test(name)),
    ).toEqual([])
    expect(loaded[0]).toContain('got')
  })

  test('the tests that load nock or measure memory run alone, and no others', () => {
    const config = readFileSync(new URL('vitest.config.ts', root), 'utf8')
    const alone = [...config.matchAll(/'(test\/[^*']+)\.test\.ts'/g)].map((match) => `${match[1]}.test.ts`)
    const tests = [...sources.keys()].filter((path) => path.endsWith('.test.ts'))
    const loaded = loadedWith(tests, sources)
    const measures = (path: string): boolean => /\bmemoryUsage\b/.test(codeOf(sources.get(path) ?? ''))
    const needy = tests.filter((path, index) => loaded[index]?.has('nock') === true || measures(path))
    expect(alone.toSorted()).toEqual(needy.toSorted())
  })

  test('no file is longer than 300 lines, of the tests and scripts neither', () => {
    expect(longFiles(sources, 300)).toEqual([])
  })

  test('the README has at most 600 words', () => {
    const words = readFileSync(new URL('README.md', root), 'utf8')
      .split(/\s+/)
      .filter((word) => /\w/.test(word))
    expect(words.length).toBeLessThanOrEqual(600)
  })

  test('cbor-x, which @auth0/cose brings, is loaded in a process of its own', () => {
    const importers = importsThat(sources, (_path, imported) => /^(@auth0\/cose|cbor-x)$/.test(imported))
    expect(importers).toEqual(['test/protocol/auth0-cose.ts imports @auth0/cose'])
  })
})

const tree = (path: string, ...lines: string[]): Sources => new Map([[path, lines.join('\n')]])

describe('each rule sees what breaks it', () => {
  test.each([
    ["import { readFile } from 'node:fs'", 'protocol/a.ts imports node:fs'],
    ["import '../agent/main.ts'", 'protocol/a.ts imports agent/main.ts'],
    ["import {\n  a,\n  b,\n} from 'got'", 'protocol/a.ts imports got'],
    ["const a = await import('got')", 'protocol/a.ts imports got'],
    ["import type { A } from '../server-stub/app.ts'", 'protocol/a.ts imports server-stub/app.ts'],
  ])('in protocol/: %s', (line, violation) => {
    expect(importsThat(tree('protocol/a.ts', line), breaksPurity)).toEqual([violation])
  })

  test.each([
    "import { sha256 } from './ids.ts'",
    "import { createHash } from 'node:crypto'",
    "// import 'got'",
    "const text = 'import from elsewhere'",
  ])('protocol/ may have: %s', (line) => {
    expect(importsThat(tree('protocol/a.ts', line), breaksPurity)).toEqual([])
  })

  test('an agent that imports the server, the tests or the scripts', () => {
    for (const folder of ['server-stub', 'test', 'scripts']) {
      expect(
        importsThat(tree('agent/b/a.ts', `import '../../${folder}/a.ts'`), breaksDirection),
      ).toHaveLength(1)
    }
    expect(importsThat(tree('agent/b/a.ts', "import '../../protocol/ids.ts'"), breaksDirection)).toEqual([])
  })

  test.each([
    'Date.now()',
    'new Date()',
    'Math.random()',
    'setTimeout(f, 1)',
    'process.exit(1)',
    '`${process.pid}`',
  ])('the world in %s', (code) => {
    expect(worldlyWords(tree('agent/a.ts', code))).toHaveLength(1)
    expect(worldlyWords(tree('agent/main.ts', code))).toEqual([])
  })

  test.each([
    '// Date.now()',
    "'process.exit'",
    'new Date(ms)',
    '`setTimeout`',
    '/** Math.random */',
    'subprocess.kill()',
  ])('no world in %s', (code) => {
    expect(worldlyWords(tree('agent/a.ts', code))).toEqual([])
  })

  test('what is loaded, through however many files', () => {
    const given = new Map([
      ['agent/a.ts', "import { b } from './b.ts'\nimport type { C } from './c.ts'"],
      ['agent/b.ts', "import { type Y } from 'yaml'"],
      ['agent/c.ts', "import 'typebox'"],
    ])
    expect(loadedWith(['agent/a.ts'], given)).toEqual([new Set(['agent/b.ts', 'yaml'])])
  })

  test('a re-export, a nameless file, a missing one, a cycle and a long file', () => {
    expect(reExports(tree('agent/a.ts', "export * from './b.ts'"))).toEqual(['agent/a.ts'])
    expect(reExports(tree('agent/a.ts', "export type { B } from './b.ts'"))).toEqual(['agent/a.ts'])
    expect(reExports(tree('agent/a.ts', 'export const from = 1', 'export { from }'))).toEqual([])
    expect(
      ['a/index.ts', 'a/utils.ts', 'types.ts', 'a/record-types.ts'].map((name) => namelessFiles.test(name)),
    ).toEqual([true, true, true, false])
    expect(missingImports(tree('agent/a.ts', "import './b.ts'"))).toHaveLength(1)
    const circle = new Map([
      ['agent/a.ts', "import './b.ts'"],
      ['agent/b.ts', "import type { A } from './a.ts'"],
      ['agent/c.ts', "import './a.ts'"],
    ])
    expect(cyclesIn(circle)).toEqual(['agent/a.ts', 'agent/b.ts'])
    expect(longFiles(tree('agent/a.ts', ...Array<string>(302).fill('')), 300)).toEqual(['agent/a.ts'])
  })
})
