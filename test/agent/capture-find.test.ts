import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Attention } from '../../agent/capture/attention.ts'
import { FileSearch } from '../../agent/capture/find-files.ts'
import type { SourceConfig } from '../../agent/source-config.ts'
import { realWorld, type Files } from '../../agent/world.ts'
import { sourceOf } from '../kit/capture-ground.ts'
import { tempFolder } from '../kit/temp-folder.ts'

function source(paths: readonly string[], exclude: readonly string[] = []): SourceConfig {
  return sourceOf(paths, { exclude })
}

const nothing = (): undefined => undefined
const deaf = { visited: nothing, listed: nothing, missing: nothing, trouble: nothing }
const nobodyTells = new Attention(nothing)

async function foundBy(
  from: SourceConfig,
  files: Files = realWorld().files,
): Promise<{ paths: Buffer[]; troubled: string[] }> {
  const paths: Buffer[] = []
  const troubled: string[] = []
  const search = new FileSearch([from], files)
  const trouble = (directory: Uint8Array): void => void troubled.push(Buffer.from(directory).toString())
  for await (const spots of search.find({ ...deaf, trouble }, nobodyTells))
    paths.push(...spots.map(({ path }) => Buffer.from(path)))
  return { paths: paths.toSorted((a, b) => Buffer.compare(a, b)), troubled }
}

async function namesBy(folder: string, from: SourceConfig): Promise<string[]> {
  const { paths } = await foundBy(from)
  return paths.map((path) => path.toString().slice(folder.length + 1))
}

async function tree(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, name)
  }
}

describe('a search', () => {
  const names = [
    'a.log',
    'b.log',
    'b.log.gz',
    'c.txt',
    'd/e.log',
    'd/f/g.log',
    '.hidden.log',
    'brackets[1].log',
  ]

  test.each([
    ['*.log', ['a.log', 'b.log', 'brackets[1].log']],
    ['b.log', ['b.log']],
    ['?.log', ['a.log', 'b.log']],
    ['{a,c}.*', ['a.log', 'c.txt']],
    ['*/*.log', ['d/e.log']],
    ['**/*.log', ['a.log', 'b.log', 'brackets[1].log', 'd/e.log', 'd/f/g.log']],
    ['d/**', ['d/e.log', 'd/f/g.log']],
    ['no/such/folder/*.log', []],
  ])('for %s finds what it names', async (glob, expected) => {
    await using folder = await tempFolder()
    await tree(folder.path, names)
    expect(await namesBy(folder.path, source([`${folder.path}/${glob}`]))).toEqual(expected)
  })

  test.each([
    [['*.gz'], ['a.log', 'b.log']],
    [['b.*'], ['a.log']],
    [['/nowhere/*'], ['a.log', 'b.log', 'b.log.gz']],
  ])('leaves out %s', async (exclude, expected) => {
    await using folder = await tempFolder()
    await tree(folder.path, ['a.log', 'b.log', 'b.log.gz'])
    expect(await namesBy(folder.path, source([`${folder.path}/*`], exclude))).toEqual(expected)
  })

  test('leaves out a whole path', async () => {
    await using folder = await tempFolder()
    await tree(folder.path, ['x/a.log', 'y/a.log'])
    const found = await namesBy(folder.path, source([`${folder.path}/**/*.log`], [`${folder.path}/x/*`]))
    expect(found).toEqual(['y/a.log'])
  })

  test('gives a path once, to the first source that names it', async () => {
    await using folder = await tempFolder()
    await tree(folder.path, ['a.log', 'b.bin'])
    const first = source([`${folder.path}/*.log`])
    const second = source([`${folder.path}/*`])
    const given: [string, SourceConfig][] = []
    const search = new FileSearch([first, second], realWorld().files)
    for await (const spots of search.find(deaf, nobodyTells))
      for (const { path, source } of spots) given.push([Buffer.from(path).toString(), source])
    expect(given).toEqual([
      [join(folder.path, 'a.log'), first],
      [join(folder.path, 'b.bin'), second],
    ])
  })

  test('gives names that are not UTF-8 as they are', async () => {
    await using folder = await tempFolder()
    const names = [Buffer.from([0xff, 0xfe]), Buffer.from('line\nbreak'), Buffer.from('x'.repeat(255))]
    const paths = names.map((name) => Buffer.concat([Buffer.from(`${folder.path}/`), name]))
    for (const path of paths) await writeFile(path, 'content')
    const found = await foundBy(source([`${folder.path}/*`]))
    expect(found.paths).toEqual(paths.toSorted((a, b) => Buffer.compare(a, b)))
  })

  test('gives a symbolic link by its own name', async () => {
    await using folder = await tempFolder()
    await tree(folder.path, ['target.log'])
    await symlink(join(folder.path, 'target.log'), join(folder.path, 'link.log'))
    expect(await namesBy(folder.path, source([`${folder.path}/*.log`]))).toEqual(['link.log', 'target.log'])
  })

  test('tells of a folder that cannot be read, and goes on', async () => {
    await using folder = await tempFolder()
    await tree(folder.path, ['shut/a.log', 'open/b.log'])
    const { paths, troubled } = await foundBy(source([`${folder.path}/*/*.log`]))
    expect(troubled).toEqual([])
    expect(paths).toHaveLength(2)
    const shut = await foundBy(source([`${folder.path}/*/*.log`]), shutting(join(folder.path, 'shut')))
    expect(shut.paths.map(String)).toEqual([join(folder.path, 'open/b.log')])
    expect(shut.troubled).toEqual([join(folder.path, 'shut')])
  })
})

/** Files of which one folder cannot be read, even by root. */
function shutting(folder: string): Files {
  const { files } = realWorld()
  return {
    ...files,
    entries: (path) => {
      if (Buffer.from(path).toString() !== folder) return files.entries(path)
      throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
    },
  }
}
