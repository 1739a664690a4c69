const recordColumns = `
  r.device, r.epoch, r.seq, r.role, r.digest, r.prev, r.kind, r.start, r.length, r.reason, r.sha256, r.hasBody,
  r.blobOffset, r.blobBytes, s.stream AS streamId, b.key AS blobKey
  FROM records r JOIN streams s ON s.id = r.stream JOIN blobs b ON b.id = r.blob`

/** Each by its name: of a column that is not there, `*` would say nothing. */
const streamColumns = `
  s.device, s.stream, s.path, s.tags, s.firstEpoch, s.firstSeq, s.firstSeenMs, s.lastSeenMs,
  (SELECT count(*) FROM records r WHERE r.stream = s.id AND r.role = 1) AS forks
  FROM streams s`

const deviceColumns = 'device, key, addedMs, revokedMs, lastSeenMs'

export const queries = {
  device: `SELECT ${deviceColumns}, sum FROM register WHERE device = ?`,
  devices: `SELECT ${deviceColumns}, sum FROM register ORDER BY device`,
  putDevice: `INSERT OR REPLACE INTO register (${deviceColumns}, sum) VALUES (?, ?, ?, ?, ?, ?)`,
  /** Each with the time at which its key was revoked under another name, where it was only there. */
  devicesWithoutSum: `
    SELECT device, key, addedMs, lastSeenMs,
      coalesce(revokedMs, (SELECT min(o.revokedMs) FROM devices o WHERE o.key = d.key)) AS revokedMs
    FROM devices d`,
  hasRegister: "SELECT 1 FROM sqlite_schema WHERE name = 'register'",
  hasHashedRecords: "SELECT 1 FROM pragma_table_info('streams') WHERE name = 'hashedRecords'",
  // What ANALYZE adds is no part of it.
  schemaParts: "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'",
  recordsAt: `SELECT ${recordColumns} WHERE r.device = ? AND r.epoch = ? AND r.seq = ? AND r.role < 2
    ORDER BY r.role, r.id`,
  recordsOfStream: `SELECT ${recordColumns} WHERE s.device = ? AND s.stream = ? AND r.role < 2
    ORDER BY r.epoch, r.seq, r.role, r.id`,
  recordsOfDevice: `SELECT ${recordColumns} WHERE r.device = ? AND r.role < 2
    ORDER BY r.epoch, r.seq, r.role, r.id`,
  everyRecordOfDevice: `SELECT ${recordColumns} WHERE r.device = ? ORDER BY r.epoch, r.seq, r.role, r.id`,
  recordsIn: `SELECT ${recordColumns} WHERE b.key = ? ORDER BY r.blobOffset`,
  addBlob: 'INSERT INTO blobs (key, bytes) VALUES (?, ?) RETURNING id',
  blob: 'SELECT key, bytes FROM blobs WHERE key = ?',
  blobs: 'SELECT key, bytes FROM blobs WHERE key > ? ORDER BY key LIMIT 1000',
  /** The label is the one of the last record in the chain, in whatever order they arrive; a fork labels nothing. */
  putStream: `
    INSERT INTO streams (device, stream, path, tags, firstEpoch, firstSeq, labelEpoch, labelSeq, firstSeenMs, lastSeenMs)
    VALUES (:device, :stream, :path, :tags, :epoch, :seq, :labelEpoch, :seq, :nowMs, :nowMs)
    ON CONFLICT (device, stream) DO UPDATE SET
      path = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :path, path),
      tags = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :tags, tags),
      firstEpoch = iif((:epoch, :seq) < (firstEpoch, firstSeq), :epoch, firstEpoch),
      firstSeq = iif((:epoch, :seq) < (firstEpoch, firstSeq), :seq, firstSeq),
      labelEpoch = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :labelEpoch, labelEpoch),
      labelSeq = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :seq, labelSeq),
      firstSeenMs = min(firstSeenMs, :nowMs),
      lastSeenMs = max(lastSeenMs, :nowMs)
    RETURNING id`,
  supersede: `UPDATE records SET role = 2 WHERE device = ? AND epoch = ? AND seq = ? AND digest = ? AND role < 2`,
  forgetSuperseded: 'DELETE FROM records WHERE role = 2 AND blob = (SELECT id FROM blobs WHERE key = ?)',
  forgetEmpty: 'DELETE FROM blobs WHERE key = ? AND NOT EXISTS (SELECT 1 FROM records WHERE blob = blobs.id)',
  addRecord: `
    INSERT INTO records (device, epoch, seq, role, digest, prev, kind, stream, start, length, reason, sha256, hasBody,
      blob, blobOffset, blobBytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM blobs WHERE key = ?), ?, ?)`,
  streams: `SELECT ${streamColumns}
    WHERE s.device = coalesce(?, s.device) ORDER BY s.device, s.firstEpoch, s.firstSeq, s.id`,
  streamsAt: `SELECT ${streamColumns}
    WHERE s.device = ? AND s.path = ? ORDER BY s.firstEpoch DESC, s.firstSeq DESC, s.id DESC LIMIT ?`,
  contentProof: 'SELECT hashedSha256 FROM streams WHERE device = ? AND stream = ?',
  keepContentProof: 'UPDATE streams SET hashedSha256 = ? WHERE device = ? AND stream = ?',
  setting: 'SELECT value FROM settings WHERE name = ?',
  keepSetting:
    'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  checkup: 'PRAGMA integrity_check',
  dangling: 'PRAGMA foreign_key_check',
} as const
