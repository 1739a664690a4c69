import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { builtPrograms, cacheFolder, root } from './program.ts'

/** Whose processes tests start and kill by the dozen. */
const programs = [
  'agent/main.ts',
  'server-stub/main.ts',
  'test/kit/dying-agent.ts',
  'test/kit/dying-server.ts',
]
/** Packages that are CommonJS ask for Node's modules with it. */
const requiring =
  "import { createRequire as requiring } from 'node:module'; const require = requiring(import.meta.url);"

/**
 * Bundles the programs once for a whole run: each of their processes then takes a third of the CPU to start, which would be
 * spent on finding and reading some 900 files. Of trees that share `node_modules` each has its own.
 */
export default async function buildPrograms(): Promise<void> {
  const outdir = join(cacheFolder, `programs-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`)
  const { outputFiles } = await build({
    entryPoints: programs,
    absWorkingDir: root,
    outbase: root,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // It brings an addon, which it looks for beside itself.
    external: ['level'],
    banner: { js: requiring },
    write: false,
  })
  for (const { path, contents } of outputFiles) await keep(path, contents)
  process.env[builtPrograms] = outdir
}

/** What is there already may be running, and is in the compile cache. */
async function keep(path: string, contents: Uint8Array): Promise<void> {
  const known = await readFile(path).catch(() => undefined)
  if (known?.equals(contents)) return
  await mkdir(dirname(path), { recursive: true })
  const draft = `${path}.${process.pid}`
  await writeFile(draft, contents)
  await rename(draft, path)
}
