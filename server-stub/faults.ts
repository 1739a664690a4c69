import { exits, Fault, type FaultKind } from '../protocol/fault.ts'

/** Every expected failure of the server's commands: its exit status, and what a person can do now. */
const faultKinds = {
  USAGE_WRONG: { exit: exits.usage, hint: 'see "logbox-server --help"' },
  SETTING_INVALID: { exit: exits.config, hint: 'correct the environment variable' },
  DEVICE_NAME_INVALID: { exit: exits.usage, hint: 'a name is 1 to 64 of a-z 0-9 . _ -, and not "." or ".."' },
  KEY_UNUSABLE: { exit: exits.usage, hint: 'give the key that "logbox-agent keygen" printed' },
  STORE_MISSING: { exit: exits.noInput, hint: 'check --data; "logbox-server serve" makes a store' },
  DEVICE_MISSING: { exit: exits.noInput, hint: 'see "logbox-server device list"' },
  STREAM_MISSING: { exit: exits.noInput, hint: 'see "logbox-server files"' },
  STORE_FULL: { exit: exits.disk, hint: 'make room on the disk' },
  STORE_UNWRITABLE: { exit: exits.disk, hint: 'check the disk and the permissions of --data' },
  STORE_UNREADABLE: { exit: exits.disk, hint: 'check the disk and the permissions of --data' },
  CATALOG_DAMAGED: { exit: exits.disk, hint: 'rebuild it from the records: docs/server.md says how' },
  OUTPUT_FAILED: { exit: exits.disk, hint: 'check what the output is written to' },
  CATALOG_BUSY: { exit: exits.tryAgain, hint: 'try again' },
  SERVER_RUNNING: { exit: exits.tryAgain, hint: 'stop it first, or give another --data' },
  PORT_UNAVAILABLE: { exit: exits.unavailable, hint: 'choose another --host or --port' },
  NAME_TAKEN: { exit: exits.notAllowed, hint: 'a name keeps its key: register the new key under a new name' },
  KEY_IS_REVOKED: { exit: exits.notAllowed, hint: 'make a new key and register it under a new name' },
  RECEIPT_KEY_EXPOSED: { exit: exits.notAllowed, hint: 'chmod 600 it, and consider it known to others' },
  RECEIPT_KEY_MALFORMED: {
    exit: exits.config,
    hint: 'restore it from the backup: drones trust no other key',
  },
  RECEIPT_KEY_CHANGED: { exit: exits.config, hint: 'restore it from the backup: drones trust no other key' },
} as const satisfies Record<string, FaultKind>

export type FaultCode = keyof typeof faultKinds

/** A fault of the table: `message` says what and where, the table what now. */
export function serverFault(code: FaultCode, message: string, options?: ErrorOptions): Fault {
  return new Fault(code, faultKinds[code], message, options)
}

/** Every answer of the HTTP side that is an error: its status and title (RFC 9457). The codes never change. */
export const problems = {
  REQUEST_MALFORMED: { status: 400, title: 'the request is not HTTP/1.1 as this server reads it' },
  BATCH_EMPTY: { status: 400, title: 'the request has no record' },
  BATCH_MALFORMED: {
    status: 400,
    title: 'the body is not a sequence of records; those before the damage were kept',
  },
  BATCH_CUT: { status: 400, title: 'the body ends within a record; those before it were kept' },
  DEVICE_UNNAMED: { status: 400, title: 'no record of the batch names its device' },
  BATCH_UNPROVEN: {
    status: 400,
    title: 'no record of the batch is whole, and signed by the device that it names',
  },
  DEVICE_UNKNOWN: { status: 401, title: 'no device of this name is registered' },
  KEY_UNKNOWN: { status: 401, title: 'no registered key of this device has this key id' },
  KEY_REVOKED: { status: 403, title: 'the key was revoked' },
  QUERY_MALFORMED: { status: 400, title: 'the body is not a query of the kind that this address answers' },
  QUERY_LEFT: { status: 400, title: 'who asked did not wait for the answer' },
  QUERY_UNSIGNED: { status: 401, title: 'the query is not signed by the key that it names' },
  NOT_FOUND: { status: 404, title: 'nothing is here' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'this address does not know the method' },
  BATCH_TOO_LARGE: {
    status: 413,
    title: 'a record or the batch is over the limits; those before it were kept',
  },
  BATCH_TOO_MANY: { status: 413, title: 'the batch has too many records; those within the limit were kept' },
  QUERY_TOO_LARGE: { status: 413, title: 'the query is over the limits' },
  MEDIA_TYPE_WRONG: { status: 415, title: 'a batch is application/cbor-seq, a query application/cose' },
  CODING_UNSUPPORTED: {
    status: 415,
    title: 'what is sent travels without a content coding: records are compressed',
  },
  HEADERS_TOO_LARGE: { status: 431, title: 'the headers are too large' },
  DEVICE_BUSY: { status: 429, title: 'the device has as many requests here as it may' },
  SERVER_BROKEN: { status: 500, title: 'the server has a bug' },
  NOT_READY: { status: 503, title: 'the server cannot store now' },
  SERVER_BUSY: { status: 503, title: 'the server works on as many requests as it can' },
  STORE_FULL: { status: 507, title: 'the server has no room' },
  STORE_UNWRITABLE: { status: 507, title: 'the server cannot store' },
} as const

export type ProblemCode = keyof typeof problems
