import { createPrivateKey, createPublicKey } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { Algorithms, Headers, ProtectedHeaders, Sign1, UnprotectedHeaders } from '@auth0/cose'

/**
 * An independent COSE library, in a process of its own: it brings cbor-x, which must not decode signed data in ours.
 * Reads one JSON question from stdin and answers on stdout.
 */
export interface Question {
  readonly publicKeyDer: string
  readonly privateKeyDer: string
  readonly keyId: string
  readonly type: string
  /** Payloads to sign. */
  readonly sign: readonly string[]
  /** Envelopes to verify. */
  readonly verify: readonly string[]
}

export interface Answer {
  readonly signed: readonly string[]
  /** The payload of each envelope that is valid, null for the others. */
  readonly verified: readonly (string | null)[]
}

const question = JSON.parse(await text(process.stdin)) as Question
const fromHex = (digits: string): Buffer => Buffer.from(digits, 'hex')
const privateKey = createPrivateKey({ key: fromHex(question.privateKeyDer), format: 'der', type: 'pkcs8' })
const publicKey = createPublicKey({ key: fromHex(question.publicKeyDer), format: 'der', type: 'spki' })

async function sign(payload: Buffer): Promise<string> {
  const labels = [
    [Headers.Algorithm, Algorithms.EdDSA],
    [Headers.KeyID, fromHex(question.keyId)],
    [16, question.type],
  ] as unknown as ConstructorParameters<typeof ProtectedHeaders>[0]
  const envelope = await Sign1.sign(
    new ProtectedHeaders(labels),
    new UnprotectedHeaders([]),
    payload,
    privateKey,
  )
  return Buffer.from(envelope.encode()).toString('hex')
}

async function verify(envelope: Buffer): Promise<string | null> {
  try {
    const decoded = Sign1.decode(envelope)
    await decoded.verify(publicKey)
    return Buffer.from(decoded.payload).toString('hex')
  } catch {
    // What is wrong with it is told by an exception.
    return null
  }
}

const answer: Answer = {
  signed: await Promise.all(question.sign.map(fromHex).map(sign)),
  verified: await Promise.all(question.verify.map(fromHex).map(verify)),
}
process.stdout.write(JSON.stringify(answer))
