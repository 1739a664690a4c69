/** `npm run build`: makes the binaries that pkg.config.json names. docs/building.md says from what. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import manifest from '../package.json' with { type: 'json' }
import binaries from '../pkg.config.json' with { type: 'json' }
import { pkgHome, placeBaseNode } from './base-node.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

/** One process a binary: pkg changes the working directory while it works, so two cannot share one. */
async function buildBinary(name: string): Promise<void> {
  const script = join(import.meta.dirname, 'build-binary.ts')
  await run(process.execPath, [script, name], { env: { ...process.env, HOME: pkgHome } })
}

/** A binary that starts, knows its version and warns of nothing was packed whole. */
async function proveBinary(name: string): Promise<void> {
  const { stdout, stderr } = await run(join(root, 'dist', name), ['--version'])
  if (stdout.trim() === manifest.version && stderr === '') return
  throw new Error(
    `dist/${name} --version must print ${manifest.version} and no warning, but it printed:\n${stdout}${stderr}`,
  )
}

async function makeBinary(name: string, target: string): Promise<void> {
  await buildBinary(name)
  if (target === `linux-${process.arch}`) await proveBinary(name)
  console.log(`dist/${name}`)
}

const targets = new Set(Object.values(binaries).map((binary) => binary.target))
for (const target of targets) await placeBaseNode(target)

const jobs = Object.entries(binaries).map(([name, { target }]) => makeBinary(name, target))
const failures = (await Promise.allSettled(jobs)).filter((outcome) => outcome.status === 'rejected')
for (const { reason } of failures) console.error(String(reason))
process.exitCode = failures.length > 0 ? 1 : 0
