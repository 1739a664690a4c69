/** The Node that a binary is made from comes from npm, and is laid where pkg looks before it downloads. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

type LockedPackage = { version: string; integrity: string }

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

/** pkg keeps its cache in the home directory; with this as HOME it leaves the person's own alone. */
export const pkgHome = join(root, 'node_modules/.cache/logbox')

/** After this, pkg finds the Node for `target` (such as `linux-arm64`) without a network. */
export async function placeBaseNode(target: string): Promise<void> {
  const name = `node-${target}`
  const locked = await lockedPackage(name)
  const place = join(pkgHome, '.pkg-cache/sea', `node-v${locked.version}-${target}`)
  if (existsSync(`${place}/bin/node.ok`)) return

  await using folder = await mkdtempDisposable(join(tmpdir(), 'logbox-'))
  const installed = join(root, 'node_modules', name, 'bin/node')
  const node = existsSync(installed) ? installed : await fetchNode(name, locked, folder.path)
  await mkdir(`${place}/bin`, { recursive: true })
  await writeFile(`${place}/bin/node`, withoutSymbols(await readFile(node)), { mode: 0o755 })

  // pkg's own marks: downloaded, checked, unpacked. The last stands only where all of it worked.
  for (const mark of ['.tar.gz', '.tar.gz.ok', '/bin/node.ok']) await writeFile(place + mark, '')
}

async function lockedPackage(name: string): Promise<LockedPackage> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  return lock.packages[`node_modules/${name}`]
}

/** npm installs only the package of the machine's own architecture; another one is asked for by name. */
async function fetchNode(
  name: string,
  { version, integrity }: LockedPackage,
  folder: string,
): Promise<string> {
  await run('npm', ['pack', `${name}@${version}`, '--prefer-offline', '--pack-destination', folder])
  const tarball = join(folder, `${name}-${version}.tgz`)
  const digest = createHash('sha512')
    .update(await readFile(tarball))
    .digest('base64')
  if (`sha512-${digest}` !== integrity)
    throw new Error(`${name}@${version} is not what package-lock.json names`)
  await run('tar', ['-xzf', tarball, '-C', folder, 'package/bin/node'])
  return join(folder, 'package/bin/node')
}

/**
 * What `strip` does, but for every architecture: the kernel loads segments, and behind the last one stand only the
 * symbols for a debugger and the section headers. 20 MB less on the drone, and pkg takes half as long.
 * The offsets are those of the 64-bit ELF header and program header (elf(5)).
 */
function withoutSymbols(elf: Buffer): Buffer {
  const headersAt = Number(elf.readBigUInt64LE(32))
  const headerBytes = elf.readUInt16LE(54)
  const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, n) =>
    elf.subarray(headersAt + n * headerBytes),
  )
  const ends = headers.map((header) => Number(header.readBigUInt64LE(8) + header.readBigUInt64LE(32)))
  const stripped = Buffer.from(elf.subarray(0, Math.max(...ends)))
  stripped.fill(0, 40, 48) // e_shoff: where the section headers are
  stripped.fill(0, 58, 64) // e_shentsize, e_shnum, e_shstrndx: how many, and which names them
  return stripped
}
