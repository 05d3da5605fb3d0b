-- Version 2: a job holds a task and an outcome in the words of no protocol, and requests of a key are counted here,
-- so that a limit holds across processes.
-- The functions that end in _v1 are in version_1.py. Foreign keys are off while this runs: dropping the old table
-- must not delete the log lines.

CREATE TABLE new_jobs (
  seq                INTEGER PRIMARY KEY AUTOINCREMENT,      -- order of arrival
  id                 TEXT NOT NULL UNIQUE,                   -- the request_id that its caller knows
  owner              TEXT NOT NULL,                          -- the account; '' where the server asks for no key
  endpoint           TEXT NOT NULL,                          -- the endpoint that was called
  state              TEXT NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  priority           INTEGER NOT NULL CHECK (priority IN (0, 1)),  -- 0 before 1
  pinned_to          TEXT,                                   -- only this worker may run it: its caller waits there
  task               TEXT NOT NULL,                          -- JSON; without messages once the content was dropped
  media              TEXT,                                   -- blob of the clip, where it is stored here
  webhook_url        TEXT,
  keeps_io           INTEGER NOT NULL CHECK (keeps_io IN (0, 1)),  -- whether task and outcome may be kept
  retries            INTEGER NOT NULL CHECK (retries >= 0),  -- attempts left after this one
  created_at         REAL NOT NULL,
  run_after          REAL NOT NULL,
  start_deadline_at  REAL,
  started_at         REAL,
  finished_at        REAL,
  attempt            INTEGER NOT NULL DEFAULT 0,
  lease_token        INTEGER NOT NULL DEFAULT 0,             -- grows with every claim; an older one is refused
  lease_owner        TEXT,
  lease_until        REAL,
  cancel_requested   INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  outcome            TEXT,                                   -- JSON; NULL until the end, and once it was dropped
  failure            TEXT,                                   -- JSON; kept when the outcome is dropped; NULL on success
  is_callers         INTEGER CHECK (is_callers IN (0, 1)),   -- whether the caller was the reason; NULL on success
  input_tokens       INTEGER,
  output_tokens      INTEGER,
  key_id             TEXT NOT NULL DEFAULT '',               -- the key it was sent with; '' for none
  reserved_micro     INTEGER NOT NULL DEFAULT 0 CHECK (reserved_micro >= 0),  -- most it can cost
  CHECK ((state = 'running') = (lease_until IS NOT NULL AND lease_owner IS NOT NULL)),
  CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
  CHECK ((state IN ('failed', 'cancelled')) = (failure IS NOT NULL)),
  CHECK ((failure IS NULL) = (is_callers IS NULL)),
  CHECK (outcome IS NULL OR finished_at IS NOT NULL)
) STRICT;

INSERT INTO new_jobs (
  seq, id, owner, endpoint, state, priority, pinned_to, task, media, webhook_url, keeps_io, retries, created_at,
  run_after, start_deadline_at, started_at, finished_at, attempt, lease_token, lease_owner, lease_until,
  cancel_requested, outcome, failure, is_callers, input_tokens, output_tokens, key_id, reserved_micro)
SELECT
  seq, id, owner, 'nvidia/nemotron-3-nano-omni/video', state, priority, pinned_to, task_of_v1(input, body), video,
  webhook_url, keeps_io, retries, created_at, run_after, start_deadline_at, started_at, finished_at, attempt,
  lease_token, lease_owner, lease_until, cancel_requested,
  outcome_of_v1(status, headers, body, error, error_type, input_tokens, output_tokens),
  failure_of_v1(status, headers, body, error, error_type),
  iif(state IN ('failed', 'cancelled'), status BETWEEN 400 AND 499, NULL),
  input_tokens, output_tokens, key_id, reserved_micro
FROM jobs ORDER BY seq;

-- Numbers of jobs that were purged are not given again.
DELETE FROM sqlite_sequence WHERE name = 'new_jobs';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_jobs', seq FROM sqlite_sequence WHERE name = 'jobs';

DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;

CREATE INDEX jobs_waiting ON jobs (priority, seq) WHERE state = 'queued';
CREATE INDEX jobs_waiting_of ON jobs (owner, priority, seq) WHERE state = 'queued';
CREATE INDEX jobs_deadlines ON jobs (start_deadline_at) WHERE state = 'queued' AND start_deadline_at IS NOT NULL;
CREATE INDEX jobs_pinned ON jobs (created_at) WHERE state = 'queued' AND pinned_to IS NOT NULL;
CREATE INDEX jobs_unkept ON jobs (keeps_io) WHERE keeps_io = 0 AND outcome IS NOT NULL;
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TRIGGER jobs_end_once BEFORE UPDATE OF state ON jobs
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled')
BEGIN SELECT RAISE(ABORT, 'a job ends once'); END;

CREATE TRIGGER keys_count_a_job AFTER INSERT ON jobs WHEN NEW.key_id <> ''
BEGIN
  UPDATE keys SET num_unfinished = num_unfinished + 1, reserved_micro = reserved_micro + NEW.reserved_micro
  WHERE id = NEW.key_id;
END;

CREATE TRIGGER keys_uncount_a_job AFTER UPDATE OF state ON jobs
WHEN NEW.key_id <> '' AND NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
  UPDATE keys SET num_unfinished = num_unfinished - 1, reserved_micro = reserved_micro - NEW.reserved_micro
  WHERE id = NEW.key_id;
END;

CREATE TRIGGER shares_count_a_job AFTER INSERT ON jobs
BEGIN
  INSERT INTO shares (owner, num_queued, num_running) VALUES (NEW.owner, 1, 0)
  ON CONFLICT DO UPDATE SET num_queued = num_queued + 1;
END;

CREATE TRIGGER shares_move_a_job AFTER UPDATE OF state ON jobs WHEN NEW.state <> OLD.state
BEGIN
  UPDATE shares SET
    num_queued = num_queued + (NEW.state = 'queued') - (OLD.state = 'queued'),
    num_running = num_running + (NEW.state = 'running') - (OLD.state = 'running')
  WHERE owner = NEW.owner;
END;

CREATE TRIGGER shares_take_a_turn AFTER UPDATE OF state ON jobs WHEN NEW.state = 'running'
BEGIN
  UPDATE shares SET last_turn = (SELECT max(last_turn) + 1 FROM shares) WHERE owner = NEW.owner;
END;

-- When each key with a limit per minute was used within the last minute.
CREATE TABLE key_requests (
  key_id  TEXT NOT NULL,
  at      REAL NOT NULL
) STRICT;

CREATE INDEX key_requests_of ON key_requests (key_id, at);
CREATE INDEX key_requests_by_time ON key_requests (at);
