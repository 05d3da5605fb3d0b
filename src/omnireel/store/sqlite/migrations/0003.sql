-- Version 3: long tasks and outcomes lie beside their jobs, a job knows how many workers died while they ran it,
-- clips of a key that could not be decoded are counted, webhooks are claimed in turn between accounts, what a key has
-- made ends with it, and leases, deadlines and retention follow store time (see clock.py).
-- Store time: jobs.run_after, start_deadline_at, lease_until, kept_since; outbox.next_at, claimed_until;
-- uploads.open_until, expires_at; expires_at of tokens and idempotency keys; key_requests.at; failed_clips.at. All other
-- times are the wall clock's. Old rows have the wall clock's times, with which store time begins.

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

CREATE TABLE clock (
  only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
  boot_id   TEXT NOT NULL,
  offset_s  REAL NOT NULL,                                   -- store time at the boot
  noted_at  REAL NOT NULL                                    -- store time when this was written
) STRICT;

ALTER TABLE jobs ADD COLUMN kept_since REAL;                 -- store time of the end
UPDATE jobs SET kept_since = finished_at WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_kept ON jobs (kept_since) WHERE kept_since IS NOT NULL;

DROP INDEX jobs_pinned;
CREATE INDEX jobs_pinned ON jobs (run_after) WHERE state = 'queued' AND pinned_to IS NOT NULL;
DROP INDEX outbox_by_age;
CREATE INDEX outbox_by_age ON outbox (next_at);

ALTER TABLE cdn_tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT '';  -- '' for none
ALTER TABLE uploads ADD COLUMN key_id TEXT NOT NULL DEFAULT '';     -- '' for none

-- Nobody knows with which keys these were made. Clients ask for new ones by themselves.
DELETE FROM cdn_tokens WHERE owner <> '';

CREATE INDEX outbox_due_of ON outbox (owner, next_at, claimed_until, receiver) WHERE state = 'waiting';
