/**
 * Makes one binary of pkg.config.json: `node scripts/build-binary.ts NAME`, started by build.ts with HOME set to the
 * folder in which pkg finds the base Node.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pkg from '@yao-pkg/pkg/lib-es5/sea.js'
import { build, type Plugin } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }
import config from '../pkg.config.json' with { type: 'json' }
import { pkgHome } from './base-node.ts'
import { partOf, type Assets } from './build-parts.ts'
import { carry } from './carried.ts'

type Binary = {
  /** The source file that starts the program. */
  input: string
  /** What the program loads only where it is asked for, by name: the source file that it is made of. */
  parts?: Record<string, string>
  /** `linux-ARCH`, which is also the npm package of its base Node: `node-linux-ARCH`. */
  target: string
  /** What it carries beside them: paths of files. */
  assets?: Assets
  /** What goes into Node's own sea-config.json beside the program. */
  seaConfig: { execArgv?: string[] }
}

const root = join(import.meta.dirname, '..')
const binaries: Record<string, Binary> = config
const nodeVersions: Record<string, string> = manifest.optionalDependencies

const addonFromBinary: Plugin = {
  name: 'addon-from-binary',
  setup: (esbuild) => {
    const loader = JSON.stringify(join(import.meta.dirname, 'native-addon.ts'))
    const contents = `module.exports = require(${loader}).loadAddon()`
    esbuild.onLoad({ filter: /\/classic-level\/binding\.js$/ }, () => ({ contents }))
  },
}

/** What stands in for a part's source file where it is imported: the part itself is found in the binary. */
const partsApart: Plugin = {
  name: 'parts-apart',
  setup: (esbuild) => {
    const standIns = { program: 'commands-apart.ts', 'take-over': 'daemon-apart.ts' }
    for (const [file, standIn] of Object.entries(standIns)) {
      const path = join(import.meta.dirname, standIn)
      esbuild.onResolve({ filter: new RegExp(`/${file}\\.ts$`) }, ({ kind }) => {
        return kind === 'dynamic-import' ? { path } : undefined
      })
    }
  },
}

/** got loads TLS, which parses all roots at once and keeps them: it is loaded where something is asked of it. */
const lateTls: Plugin = {
  name: 'late-tls',
  setup: (esbuild) => {
    const modules = {
      'node:https': `export default { get request() { return process.getBuiltinModule('node:https').request } }`,
      'node:tls': `export const checkServerIdentity = (...of) => process.getBuiltinModule('node:tls').checkServerIdentity(...of)`,
    }
    for (const [name, contents] of Object.entries(modules)) {
      const filter = new RegExp(`^${name}$`)
      esbuild.onResolve({ filter }, ({ path, importer }) => {
        return importer.includes('/node_modules/got/') ? { path, namespace: 'late' } : undefined
      })
      esbuild.onLoad({ filter, namespace: 'late' }, () => ({ contents }))
    }
  },
}

/**
 * HTTP/2 is off, but got loads it, and with it Node's own implementation: 3 MiB of memory. What is left in its place fails
 * where it is used.
 */
const withoutHttp2: Plugin = {
  name: 'without-http2',
  setup: (esbuild) => {
    const gotClient = /\/got\/dist\/source\/core\/utils\/http2-client\.js$/
    esbuild.onLoad({ filter: gotClient }, () => ({ contents: 'export default {}' }))
    const contents = 'export class Http2ServerResponse {}\nexport const constants = {}'
    esbuild.onResolve({ filter: /^node:http2$/ }, ({ path, importer }) => {
      return importer.includes('/node_modules/got/') ? { path, namespace: 'left-out' } : undefined
    })
    esbuild.onLoad({ filter: /^node:http2$/, namespace: 'left-out' }, () => ({ contents }))
  },
}

/** got can also make text of an answer, and for that makes a decoder of UTF-16 when it is loaded, which is ICU's. */
const onlyBytes: Plugin = {
  name: 'only-bytes',
  setup: (esbuild) => {
    esbuild.onLoad({ filter: /\/got\/dist\/source\/core\/response\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const contents = source.replace("['utf16le', new TextDecoder('utf-16le')],", '')
      if (contents === source) throw new Error(`no decoder of UTF-16 to leave out: ${path}`)
      return { contents }
    })
  },
}

/** Of all that MAVLink knows, the agent listens to heartbeats: the other messages would be two fifths of the program. */
const onlyHeartbeats: Plugin = {
  name: 'only-heartbeats',
  setup: (esbuild) => {
    const others = 'common|standard|ardupilotmega|uavionix|icarous|asluav|development|ualberta|storm32'
    const dialects = new RegExp(`/mavlink-mappings/dist/lib/(${others})\\.js$`)
    esbuild.onLoad({ filter: dialects }, () => ({ contents: '' }))
    esbuild.onResolve({ filter: /^xml2js$/ }, ({ path }) => ({ path, namespace: 'generator' }))
    esbuild.onLoad({ filter: /^xml2js$/, namespace: 'generator' }, () => ({ contents: '' }))
  },
}

/**
 * yargs measures its help with string-width, which for the sake of emoji reads a good part of Unicode's data when it is
 * loaded: a quarter of the time that a command takes to start.
 */
const plainWidth: Plugin = {
  name: 'plain-width',
  setup: (esbuild) => {
    const path = join(import.meta.dirname, 'plain-width.ts')
    esbuild.onResolve({ filter: /^string-width$/ }, () => ({ path }))
  },
}

/**
 * @sindresorhus/is makes a formatter when it is loaded, for the words of an error, and that alone brings 5 MiB of Unicode's
 * data into memory. This one is made when it is asked.
 */
const lateListFormat = `class LateListFormat {
  #options;
  constructor(...options) { this.#options = options; }
  format(list) { return new Intl.ListFormat(...this.#options).format(list); }
}`

/**
 * got asks of each body whether it is a form or a web stream. To know what a form is, Node loads all of undici: 25 ms of CPU
 * and 3 MiB of memory with the first record that is sent. Nothing that the agent sends is either.
 */
const noWebBody = 'class NoWebBody {}'

/** p-retry asks for the time, and for the first use of `performance` Node loads nine modules. */
const hrNow = 'function hrNow() { const [s, ns] = process.hrtime(); return s * 1e3 + ns / 1e6; }'

/** A SEA runs one CommonJS file: no top-level await, no package of node_modules, no file beside it. */
async function bundle(input: string, output: string): Promise<void> {
  const { warnings } = await build({
    entryPoints: [join(root, input)],
    outfile: output,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    // Less source to hold in memory. keepNames would cost a call for each function that is made while the program runs; the
    // map beside the bundle leads from a stack trace to names and lines.
    minify: true,
    sourcemap: 'external',
    // A true import() fails in a SEA with a code cache, even of a built-in module.
    supported: { 'dynamic-import': false },
    plugins: [addonFromBinary, partsApart, lateTls, withoutHttp2, onlyBytes, onlyHeartbeats, plainWidth],
    // yargs looks for its translations beside itself and, not finding them, speaks English.
    define: {
      'import.meta.url': 'binaryUrl',
      'Intl.ListFormat': 'LateListFormat',
      'performance.now': 'hrNow',
      FormData: 'NoWebBody',
      ReadableStream: 'NoWebBody',
    },
    banner: {
      js: `const binaryUrl = require('node:url').pathToFileURL(process.execPath).href;\n${lateListFormat}\n${noWebBody}\n${hrNow}`,
    },
  })
  if (warnings.length > 0) throw new Error(`what esbuild warns of would fail in the binary: ${input}`)
}

/**
 * The simple SEA mode of pkg, called below its command line. The command line adds a virtual file system (half as
 * much start-up time again, and addons unpacked into a home that a daemon may not have) and cannot pass execArgv.
 */
async function pack(program: string, output: string, { target, seaConfig }: Binary): Promise<void> {
  const [, arch = ''] = target.split('-')
  await pkg.default(program, {
    targets: [{ nodeRange: `node${nodeVersions[`node-${target}`]}`, platform: 'linux', arch, output }],
    seaConfig: {
      disableExperimentalSEAWarning: true,
      useSnapshot: false,
      // V8 accepts a code cache only on the architecture that made it.
      useCodeCache: arch === process.arch,
      ...seaConfig,
    },
  })
}

/** pkg works in a folder of its own. */
function absolute(assets: Assets): Assets {
  return Object.fromEntries(Object.entries(assets).map(([key, path]) => [key, join(root, path)]))
}

/** The assets of a program's parts. Each finds in the binary what it asks for, of `own` too. */
async function buildParts({ parts = {}, target }: Binary, name: string, own: Assets): Promise<Assets> {
  const assets: Record<string, string> = {}
  for (const [part, input] of Object.entries(parts)) {
    const file = join(pkgHome, `${name}.${part}.cjs`)
    await bundle(input, file)
    Object.assign(assets, await partOf(part, file, own, target === `linux-${process.arch}`))
  }
  return assets
}

const [, , name = ''] = process.argv
const binary = binaries[name]
if (binary === undefined) throw new Error(`no binary "${name}" in pkg.config.json`)
/** Stays after the build: a stack trace from the field names its lines. */
const program = join(pkgHome, `${name}.cjs`)
const output = join(root, 'dist', name)
await bundle(binary.input, program)
const own = absolute(binary.assets ?? {})
const parts = await buildParts(binary, name, own)
// A running program cannot be overwritten, but its file can be removed.
await rm(output, { force: true })
await pack(program, output, binary)
carry(output, { ...own, ...parts })
