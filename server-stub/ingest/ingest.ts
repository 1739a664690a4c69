import { limits } from '../../protocol/contract.ts'
import { BatchError, readRecords } from '../../protocol/record.ts'
import type { ProblemCode } from '../faults.ts'
import { Batch, BatchProblem, type Answer, type IngestParts } from './batch.ts'
import type { Visit } from './running.ts'

/**
 * Takes a batch in while it arrives: each record is verified and written before the next is looked at, so that one is
 * in memory at a time. Whatever ends the batch early, the whole records before that are kept; so they are while it does
 * not end. The receipt is signed when all that it says is on the disk.
 */
export async function ingest(
  body: AsyncIterable<Uint8Array>,
  parts: IngestParts,
  visit: Visit,
): Promise<Answer> {
  await using batch = new Batch(parts, visit)
  const code = await takeIn(visit.receiving(body), batch)
  await batch.settle()
  return code === undefined ? batch.receipt() : { is: 'problem', code }
}

async function takeIn(body: AsyncIterable<Uint8Array>, batch: Batch): Promise<ProblemCode | undefined> {
  try {
    for await (const frame of readRecords(body, limits.maxBatchBytes, batch)) await batch.take(frame)
    return batch.whyNoReceipt
  } catch (error) {
    if (error instanceof BatchError) return problemOf[error.reason]
    if (error instanceof BatchProblem) return error.code
    throw error
  }
}

const problemOf = {
  malformed: 'BATCH_MALFORMED',
  tooLarge: 'BATCH_TOO_LARGE',
  cut: 'BATCH_CUT',
} as const satisfies Record<BatchError['reason'], ProblemCode>
