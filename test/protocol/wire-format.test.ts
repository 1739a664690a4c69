import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { limits } from '../../protocol/contract.ts'
import { maxProtectedHeaderBytes } from '../../protocol/cose.ts'
import { hex } from '../../protocol/ids.ts'
import { lossReasons } from '../../protocol/manifest.ts'
import { maxReceiptBytes, verifyReceipt } from '../../protocol/receipt.ts'
import { recordOpening } from '../../protocol/record.ts'
import { accept, refusals } from '../../protocol/refusal.ts'
import { hexa, testKeys } from '../vectors/keys.ts'
import { withWorkedExample } from '../vectors/worked-example.ts'
import { judge } from './judge.ts'

const document = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8')

/** The bytes of a block, as a reader would type them in. */
function bytesOfBlock(name: string): Uint8Array {
  const block = new RegExp(`<!-- worked: ${name} -->\\n\\n\`\`\`text\\n([^\`]*)`).exec(document)?.[1] ?? ''
  return Buffer.from(block.replaceAll(/;.*/g, '').replaceAll(/\s/g, ''), 'hex')
}

describe('docs/wire-format.md', () => {
  test('its worked example is what the code makes', () => {
    expect(document).toBe(withWorkedExample(document))
  })

  test('its record is accepted under its key, and holds the line that it shows', () => {
    const { publicKey } = testKeys.hexa.signer
    const verdict = judge(bytesOfBlock('record'), () => accept(publicKey))
    if (!verdict.ok) throw new Error(verdict.refusal)
    const { digest, content } = verdict.value
    expect(document).toContain(JSON.stringify(Buffer.from(content ?? []).toString()))
    for (const fact of [publicKey.bytes, publicKey.id, digest]) expect(document).toContain(hex(fact))
  })

  test('its receipt is accepted under its key', () => {
    const receipt = verifyReceipt(bytesOfBlock('receipt'), [testKeys.server.signer.publicKey], hexa)
    expect(receipt.ok && receipt.value.entries).toHaveLength(6)
  })

  test('it names each refusal and each reason of a loss', () => {
    expect([...Object.keys(refusals), ...lossReasons].filter((word) => !document.includes(word))).toEqual([])
  })

  test('its numbers are those of the code', () => {
    expect([limits.maxChunkBytes, limits.maxManifestBytes, limits.maxPathBytes]).toEqual([
      8_388_608, 4096, 2048,
    ])
    expect([limits.maxTagsBytes, limits.maxBatchBytes, limits.maxBatchRecords]).toEqual([
      1024,
      16 * 2 ** 20,
      4096,
    ])
    expect([maxReceiptBytes, limits.maxRecordOverheadBytes, maxProtectedHeaderBytes]).toEqual([
      524_288, 4224, 30,
    ])
    expect(hex(recordOpening)).toBe('da4c6f676282')
  })
})
