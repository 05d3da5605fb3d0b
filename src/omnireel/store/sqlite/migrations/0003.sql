-- Version 3: long tasks and outcomes lie beside their jobs, a job knows how many workers died while they ran it,
-- clips of a key that could not be decoded are counted, tokens and open uploads end with the key that they were made
-- with, and webhooks are claimed in turn between accounts.

ALTER TABLE jobs ADD COLUMN num_crashes INTEGER NOT NULL DEFAULT 0 CHECK (num_crashes >= 0);

CREATE INDEX jobs_running_of ON jobs (lease_owner) WHERE state = 'running';

-- The long texts of jobs: the column of the same name in jobs is then ''. A row of jobs is written anew at each change
-- of its state and at each renewal of its lease, and a column behind a long one takes long to read.
CREATE TABLE payloads (
  job_seq  INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  kind     TEXT NOT NULL CHECK (kind IN ('task', 'outcome')),
  content  TEXT NOT NULL                                     -- JSON
) STRICT;

CREATE UNIQUE INDEX payloads_of ON payloads (job_seq, kind);

INSERT INTO payloads SELECT seq, 'task', task FROM jobs WHERE length(task) > 65536;
INSERT INTO payloads SELECT seq, 'outcome', outcome FROM jobs WHERE length(outcome) > 65536;
UPDATE jobs SET task = '' WHERE length(task) > 65536;
UPDATE jobs SET outcome = '' WHERE length(outcome) > 65536;

-- When a clip of each key could not be decoded, within the last minute.
CREATE TABLE failed_clips (
  key_id  TEXT NOT NULL,
  at      REAL NOT NULL
) STRICT;

CREATE INDEX failed_clips_of ON failed_clips (key_id, at);
CREATE INDEX failed_clips_by_time ON failed_clips (at);

ALTER TABLE cdn_tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT '';  -- '' for none
ALTER TABLE uploads ADD COLUMN key_id TEXT NOT NULL DEFAULT '';     -- '' for none

-- Nobody knows with which keys these were made. Clients ask for new ones by themselves.
DELETE FROM cdn_tokens WHERE owner <> '';

CREATE INDEX outbox_due_of ON outbox (owner, next_at, claimed_until, receiver) WHERE state = 'waiting';
