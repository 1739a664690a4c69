import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

/** As in a binary. An ECMAScript module that imports Node's http loads all that hangs on it. */
async function commonJs(input: string): Promise<string> {
  const built = await build({
    entryPoints: [join(import.meta.dirname, '../..', input)],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    supported: { 'dynamic-import': false },
    write: false,
  })
  return built.outputFiles[0]?.text ?? ''
}

test('TLS, with which all roots come into memory, is loaded for a server that asks for it', async () => {
  const agents = await commonJs('agent/deliver/http-agents.ts')
  const loadsTls = (protocol: string): boolean => {
    const telling = `console.log(process.moduleLoadList.includes('NativeModule tls'))`
    const program = `${agents}\nopenAgents('${protocol}', {}).then(() => ${telling})`
    return execFileSync(process.execPath, ['--eval', program], { encoding: 'utf8' }) === 'true\n'
  }
  expect(loadsTls('https:')).toBe(true)
  expect(loadsTls('http:')).toBe(false)
})
