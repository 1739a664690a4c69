import type { RefusalCode } from '../../protocol/refusal.ts'
import { linkCodes } from './link.ts'

/**
 * What is done about an answer:
 * - receipt: it is read; what it says is safe is forgotten.
 * - retry: everything is kept and sent again, after the backoff, and not before Retry-After.
 * - smaller: the next request is half as large. A record that is answered so alone is passed over; when that happens
 *   for the third time while others get receipts, it is set aside and reported.
 * - aside: the record is passed over and sent again; the third time in a row it is set aside and reported.
 * - person: everything is kept and retried slowly; `status` says what a person has to put right.
 * - portal: whoever answered is not our server. Everything is kept; `status` says so.
 */
export type Course = 'receipt' | 'retry' | 'smaller' | 'aside' | 'person' | 'portal'

export interface Sense {
  readonly course: Course
  /** For `status`, and for docs/delivery.md. */
  readonly says: string
  /** The server may have stored what was sent: it is asked before any of it is sent again. */
  readonly isInDoubt?: true
}

/** By status, then by its first digit. */
export const statuses: Readonly<Record<string, Sense>> = {
  200: {
    course: 'receipt',
    says: 'a receipt by a pinned key, for this device and these records; else it is not our server',
  },
  '2xx': { course: 'portal', says: 'only 200 brings a receipt' },
  '3xx': { course: 'portal', says: 'redirects are not followed: a login page, or a wrong server.url' },
  400: { course: 'smaller', says: 'the request was taken for damaged', isInDoubt: true },
  401: { course: 'person', says: 'the server does not know this device or its key: register it' },
  403: { course: 'person', says: 'the server does not accept this key any more' },
  404: { course: 'portal', says: 'nothing of ours is at this address: check server.url' },
  405: { course: 'portal', says: 'nothing of ours is at this address: check server.url' },
  407: { course: 'person', says: 'the proxy wants to know who asks: check server.proxy' },
  408: { course: 'retry', says: 'it took too long for the server, or for a proxy', isInDoubt: true },
  413: { course: 'smaller', says: 'too large for the server, or for a proxy', isInDoubt: true },
  415: { course: 'portal', says: 'nothing of ours is at this address: check server.url' },
  422: { course: 'smaller', says: 'the request was taken for damaged', isInDoubt: true },
  429: { course: 'retry', says: 'too many requests' },
  '4xx': { course: 'person', says: 'refused for a reason that this agent does not know' },
  500: { course: 'retry', says: 'the server has a bug', isInDoubt: true },
  502: { course: 'retry', says: 'a proxy did not reach the server', isInDoubt: true },
  503: { course: 'retry', says: 'the server is busy or not ready' },
  504: { course: 'retry', says: 'a proxy heard nothing from the server', isInDoubt: true },
  507: { course: 'retry', says: 'the server has no room' },
  511: { course: 'portal', says: 'the network wants a login' },
  '5xx': { course: 'retry', says: 'the server failed', isInDoubt: true },
}

const unreached: Sense = { course: 'retry', says: 'the server is not reached' }
const broken: Sense = { course: 'retry', says: 'the connection broke', isInDoubt: true }
const distrusted: Sense = {
  course: 'person',
  says: 'the certificate is not by a known authority: check server.ca, or who answers in its place',
}
const mistimed: Sense = {
  course: 'person',
  says: 'the certificate is out of date, or the clock of this drone is',
}
const uncertified: Sense = {
  course: 'person',
  says: 'the server wants another client certificate: check server.clientCertificate',
}

/** By the code of a request that brought no answer. */
export const failures: Readonly<Record<string, Sense>> = {
  ENOTFOUND: { course: 'retry', says: 'the name of the server is not found' },
  EAI_AGAIN: { course: 'retry', says: 'no name server answers' },
  ECONNREFUSED: unreached,
  EHOSTUNREACH: unreached,
  ENETUNREACH: unreached,
  ENETDOWN: unreached,
  EADDRNOTAVAIL: unreached,
  ETIMEDOUT: unreached,
  [linkCodes.proxyUnknown]: {
    course: 'person',
    says: 'the proxy opens no tunnel for whom it does not know (407): check server.proxy',
  },
  [linkCodes.proxyForbids]: {
    course: 'person',
    says: 'the proxy opens no tunnel to the server (403): check server.proxy',
  },
  ERR_PROXY_TUNNEL: { course: 'retry', says: 'the proxy does not reach the server' },
  ECONNRESET: broken,
  ECONNABORTED: broken,
  EPIPE: broken,
  [linkCodes.stalled]: {
    course: 'retry',
    says: 'nothing moved for delivery.requestTimeout',
    isInDoubt: true,
  },
  [linkCodes.abandoned]: { course: 'retry', says: 'given up because the gate closed', isInDoubt: true },
  [linkCodes.tooLong]: { course: 'portal', says: 'the answer is longer than any of ours' },
  EPROTO: { course: 'portal', says: 'who answers does not speak TLS, or none that is safe' },
  ERR_SSL_WRONG_VERSION_NUMBER: { course: 'portal', says: 'who answers does not speak TLS' },
  ERR_SSL_UNSUPPORTED_PROTOCOL: { course: 'portal', says: 'who answers speaks no TLS that is safe' },
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: { course: 'portal', says: 'who answers speaks no TLS that is safe' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    course: 'portal',
    says: 'the certificate is for another name: a login page, or a wrong server.url',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: distrusted,
  SELF_SIGNED_CERT_IN_CHAIN: distrusted,
  UNABLE_TO_GET_ISSUER_CERT: distrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: distrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: distrusted,
  CERT_SIGNATURE_FAILURE: distrusted,
  CERT_REVOKED: distrusted,
  CERT_NOT_YET_VALID: mistimed,
  CERT_HAS_EXPIRED: mistimed,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: uncertified,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: uncertified,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: uncertified,
  'any other': broken,
}

const damaged: Sense = { course: 'aside', says: 'damaged on its way, or, if it happens again, in its making' }
const unnamed: Sense = {
  course: 'person',
  says: 'the server does not know this device or its key: register it',
}
const noRecord: Sense = { course: 'aside', says: 'said of what is no record' }

/** By the code of a record that a signed receipt refuses. */
export const refusalSenses: Readonly<Record<RefusalCode | 'any other', Sense>> = {
  RECORD_MALFORMED: damaged,
  RECORD_TOO_LARGE: { course: 'aside', says: 'too large for this server' },
  ENVELOPE_MALFORMED: damaged,
  SIGNATURE_WRONG: damaged,
  MANIFEST_MALFORMED: damaged,
  MANIFEST_INVALID: damaged,
  KEY_UNKNOWN: unnamed,
  KEY_REVOKED: { course: 'person', says: 'the server does not accept this key any more' },
  DEVICE_UNKNOWN: unnamed,
  DEVICE_MIXED: damaged,
  BODY_UNEXPECTED: damaged,
  BODY_LENGTH_WRONG: damaged,
  BODY_HASH_WRONG: damaged,
  BODY_UNDECODABLE: damaged,
  CONTENT_LENGTH_WRONG: damaged,
  CONTENT_HASH_WRONG: damaged,
  RECEIPT_INVALID: noRecord,
  QUERY_INVALID: noRecord,
  STREAMS_INVALID: noRecord,
  'any other': { course: 'aside', says: 'a reason that this agent does not know' },
}

/** By the status itself, else by its hundred. */
export function senseOfStatus(status: number): Sense {
  return statuses[status] ?? statuses[`${Math.floor(status / 100)}xx`] ?? sure(statuses['4xx'])
}

/** By the code of what broke, on the way or here. */
export function senseOfFailure(code: string): Sense {
  return failures[code] ?? sure(failures['any other'])
}

/** By the code with which a receipt refuses a record; a newer server may have one that is not in the table. */
export function senseOfRefusal(code: string): Sense {
  return Object.hasOwn(refusalSenses, code) ? refusalSenses[code as RefusalCode] : refusalSenses['any other']
}

function sure(sense: Sense | undefined): Sense {
  if (!sense) throw new Error('the table of answers has a hole')
  return sense
}
