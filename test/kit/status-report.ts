import type { StatusReport } from '../../agent/control/report.ts'

/** A report in which everything that can be told is. */
export const statusReport: StatusReport = {
  version: '0.1.0',
  device: 'drone',
  epoch: 7,
  server: 'https://logs.example.org/',
  link: {
    is: 'waiting',
    why: '200 with a page\nof somebody',
    because: 'retry',
    attempts: 4,
    retryInMs: 12_000,
  },
  queue: {
    records: 1,
    bytes: 3_355_443,
    maxBytes: 2_147_483_648,
    state: { is: 'blocked', why: 'ENOSPC' },
    setAside: [{ seq: 12, path: '/var/log/x.log', why: 'RECORD_TOO_LARGE' }],
    setAsideRecords: 3,
  },
  watch: { is: 'rescanning', why: 'raise the sysctl' },
  files: [
    {
      path: `/var/log/a\u001b[31m.log`,
      stream: 's',
      state: 'reading',
      size: 4096,
      readBytes: 2048,
      queuedBytes: 1024,
      receiptedBytes: 1024,
      lostBytes: 0,
      trouble: 'EACCES',
    },
  ],
  totals: { files: 1, size: 4096, readBytes: 2048, queuedBytes: 1024, receiptedBytes: 1024, lostBytes: 0 },
}
