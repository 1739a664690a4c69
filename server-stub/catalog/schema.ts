/** Version 1 had no streamsAtPath, version 2 no register with sums: make-schema.ts takes the steps from there. */
export const schemaVersion = 3

export const schema = `
CREATE TABLE IF NOT EXISTS settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Until version 2 it was called devices. A server of then, which would not keep the sum, finds it no more.
CREATE TABLE IF NOT EXISTS register (
  device TEXT PRIMARY KEY,
  key BLOB NOT NULL,
  addedMs INTEGER NOT NULL,
  revokedMs INTEGER,
  lastSeenMs INTEGER,
  sum BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS blobs (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS streams (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  stream TEXT NOT NULL,
  path BLOB NOT NULL,
  tags TEXT NOT NULL,
  firstEpoch INTEGER NOT NULL,
  firstSeq INTEGER NOT NULL,
  labelEpoch INTEGER NOT NULL,
  labelSeq INTEGER NOT NULL,
  firstSeenMs INTEGER NOT NULL,
  lastSeenMs INTEGER NOT NULL,
  hashedSha256 BLOB,
  UNIQUE (device, stream)
) STRICT;

CREATE INDEX IF NOT EXISTS streamsAtPath ON streams (device, path, firstEpoch, firstSeq);

CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  role INTEGER NOT NULL,
  digest BLOB NOT NULL,
  prev BLOB NOT NULL,
  kind TEXT NOT NULL,
  stream INTEGER NOT NULL REFERENCES streams (id),
  start INTEGER NOT NULL,
  length INTEGER,
  reason TEXT,
  sha256 BLOB,
  hasBody INTEGER NOT NULL,
  blob INTEGER NOT NULL REFERENCES blobs (id),
  blobOffset INTEGER NOT NULL,
  blobBytes INTEGER NOT NULL
) STRICT;

-- One record holds a place in the chain, and one manifest is stored once: the backstop of ingest's own judgement.
CREATE UNIQUE INDEX IF NOT EXISTS firstAtPlace ON records (device, epoch, seq) WHERE role = 0;
CREATE UNIQUE INDEX IF NOT EXISTS manifestOnce ON records (device, epoch, seq, digest) WHERE role < 2;
CREATE INDEX IF NOT EXISTS recordsOfStream ON records (stream, epoch, seq);
CREATE INDEX IF NOT EXISTS recordsInBlob ON records (blob, blobOffset);
`
