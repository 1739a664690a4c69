import { base64url } from '../../protocol/ids.ts'
import { exits, Fault } from '../../protocol/fault.ts'
import { showJson, showLine, showText } from '../../protocol/show-text.ts'
import { openSigner, openStore, type StoreParts } from '../parts.ts'
import { Audit, type AuditCounts } from '../query/audit.ts'
import type { ChainEnd } from '../query/audit-chains.ts'
import type { Finding } from '../query/finding.ts'
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
    const audit = new Audit(parts)
    const problems: Finding[] = []
    const report = async (finding: Finding): Promise<void> => {
      problems.push(finding)
      if (!isJson) await terminal.print(`${findingLine(finding)}\n`)
    }
    const receiptKey = await openSigner(data).then(
      ({ publicKey }) => base64url(publicKey.bytes),
      faultMessage,
    )
    for await (const finding of keyFindings(receiptKey, parts)) await report(finding)
    for await (const finding of audit.findings()) await report(finding)
    const facts = { ...audit.counts, receiptKey, chains: audit.ends.map(tellEnd), problems }
    await terminal.print(isJson ? `${showJson(facts)}\n` : summary(facts))
    return problems.length === 0 ? exits.done : exits.disk
  },
}

/** Whether the receipt key is the one that the drones know. A store that has files has been served, and its key pinned. */
async function* keyFindings(
  receiptKey: string,
  { catalog }: StoreParts,
): AsyncGenerator<Finding, void, undefined> {
  const known = await catalog.setting('receiptKey')
  if (known === receiptKey) return
  const code = 'RECEIPT_KEY_WRONG'
  if (known !== undefined) {
    yield { code, detail: `the receipt key is not ${known}, as at the last start: ${receiptKey}` }
  } else if ((await catalog.streams()).length > 0) {
    yield {
      code,
      detail: `the catalog has lost which receipt key was here at the last start; now: ${receiptKey}`,
    }
  }
}

function faultMessage(error: unknown): string {
  if (error instanceof Fault) return error.message
  throw error
}

function findingLine({ code, device, epoch, seq, blob, detail }: Finding): string {
  const place = seq === undefined ? '' : `${epoch}/${seq} `
  const record = device === undefined ? '' : `${device} ${place}`
  return `${code} ${record}${blob === undefined ? '' : `in ${showText(blob)} `}- ${showLine(detail)}`
}

interface Facts extends AuditCounts {
  readonly receiptKey: string
  readonly chains: readonly ToldEnd[]
  readonly problems: readonly Finding[]
}

type ToldEnd = ReturnType<typeof tellEnd>

function tellEnd({ device, epoch, seq, digest }: ChainEnd) {
  return { device, epoch, seq, digest: base64url(digest) }
}

/** What no audit can know by itself comes before the verdict: an auditor compares it with the drones. */
function summary({ records, blobs, bytes, devices, streams, receiptKey, chains, problems }: Facts): string {
  const ends = chains.map(
    ({ device, epoch, seq, digest }) =>
      `chain of ${device}, epoch ${epoch}, ends with record ${seq}, ${digest}\n`,
  )
  const read = `records ${records}, devices ${devices}, files ${streams}, blobs ${blobs}, bytes ${bytes}`
  const verdict =
    problems.length === 0 ? 'all signatures, hashes and chains hold' : `problems ${problems.length}`
  return `${ends.join('')}receipt key ${showLine(receiptKey)}\n${read}: ${verdict}\n`
}
