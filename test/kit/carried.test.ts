import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { carried, carry } from '../../scripts/carried.ts'
import { tempFolder } from './temp-folder.ts'

test('what a binary carries comes back by its name, byte for byte', async () => {
  await using folder = await tempFolder()
  const bytes = {
    program: randomBytes(1000),
    large: randomBytes(200_000),
    empty: Buffer.alloc(0),
    'a name': randomBytes(7),
  }
  const paths: Record<string, string> = {}
  for (const [name, content] of Object.entries(bytes)) {
    paths[name] = join(folder.path, name)
    writeFileSync(paths[name], content)
  }
  const binary = join(folder.path, 'program')
  carry(binary, paths)
  for (const [name, content] of Object.entries(bytes))
    expect(Buffer.from(carried(name, binary))).toEqual(content)
  expect(() => carried('another', binary)).toThrow('carries no "another"')
})

test('a binary that is cut off says so', async () => {
  await using folder = await tempFolder()
  const binary = join(folder.path, 'program')
  writeFileSync(binary, 'a program without its end')
  expect(() => carried('daemon', binary)).toThrow('cut off')
})
