import { base64url } from '../../protocol/ids.ts'
import { exits, Fault } from '../../protocol/fault.ts'
import { showJson, showText } from '../../protocol/show-text.ts'
import { auditKeys } from '../ingest/key-ring.ts'
import { openSigner, openStore, type StoreParts } from '../parts.ts'
import { Audit, type AuditCounts, type Finding } from '../query/audit.ts'
import { dataFolder, jsonFlag, settingFlag, type Command } from './command.ts'

export const verify: Command = {
  usage: 'verify',
  describe: 'read every stored record again: signatures, hashes, chain, catalog against store',
  flags: (yargs) =>
    jsonFlag(settingFlag(yargs, 'data')).example('$0 verify --data /var/lib/logbox-server', ''),
  run: async (args, terminal) => {
    const data = dataFolder(args, terminal)
    const isJson = args['json'] === true
    await using parts = await openStore(data)
    const audit = new Audit({ ...parts, keys: auditKeys(await parts.catalog.devices()) })
    const problems: Finding[] = []
    const report = async (finding: Finding): Promise<void> => {
      problems.push(finding)
      if (!isJson) await terminal.print(`${findingLine(finding)}\n`)
    }
    for await (const finding of keyFindings(data, parts)) await report(finding)
    for await (const finding of audit.findings()) await report(finding)
    await terminal.print(
      isJson ? `${showJson({ ...audit.counts, problems })}\n` : summary(audit.counts, problems),
    )
    return problems.length === 0 ? exits.done : exits.disk
  },
}

/** Whether the receipt key is the one that the drones know. */
async function* keyFindings(data: string, { catalog }: StoreParts): AsyncGenerator<Finding, void, undefined> {
  const known = await catalog.setting('receiptKey')
  if (known === undefined) return
  const found = await openSigner(data).then(({ publicKey }) => base64url(publicKey.bytes), faultMessage)
  if (found !== known) {
    yield {
      code: 'RECEIPT_KEY_WRONG',
      detail: `the receipt key is not ${known}, as at the last start: ${found}`,
    }
  }
}

function faultMessage(error: unknown): string {
  if (error instanceof Fault) return error.message
  throw error
}

function findingLine({ code, device, epoch, seq, blob, detail }: Finding): string {
  const record = seq === undefined ? '' : `${device} ${epoch}/${seq} `
  return `${code} ${record}${blob === undefined ? '' : `in ${showText(blob)} `}- ${showText(detail)}`
}

function summary({ records, blobs, bytes, devices, streams }: AuditCounts, problems: Finding[]): string {
  const read = `records ${records}, devices ${devices}, files ${streams}, blobs ${blobs}, bytes ${bytes}`
  const verdict =
    problems.length === 0 ? 'all signatures, hashes and chains hold' : `problems ${problems.length}`
  return `${read}: ${verdict}\n`
}
