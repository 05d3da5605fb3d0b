BEGIN TRANSACTION;
CREATE TABLE cdn_tokens (
  token_hash  BLOB PRIMARY KEY,
  owner       TEXT NOT NULL,
  expires_at  REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
  outbox_id  TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
  attempt    INTEGER NOT NULL,
  at         REAL NOT NULL,
  status     INTEGER,                                        -- NULL: no answer came
  error      TEXT,
  seconds    REAL NOT NULL,
  PRIMARY KEY (outbox_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
  owner        TEXT NOT NULL,
  key          TEXT NOT NULL,
  fingerprint  TEXT NOT NULL,
  job_id       TEXT NOT NULL,
  expires_at   REAL NOT NULL,
  PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
INSERT INTO idempotency VALUES('bob','once','sha j-crashed','j-crashed',1767312009.0);
CREATE TABLE "jobs" (
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
INSERT INTO jobs VALUES(1,'j-short','ann','nvidia/nemotron-3-nano-omni/video','succeeded',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"What happens?"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,1,9,1767225600.0,1767225600.0,NULL,1767225600.0,1767225601.0,1,1,NULL,NULL,0,'{"version":1,"answer":{"output":"A ball rolls.","reasoning":null,"finish_reason":"stop","input_tokens":120,"output_tokens":9,"video":null}}',NULL,NULL,120,9,'omr_00000000000000c1',60000);
INSERT INTO jobs VALUES(2,'j-long','ann','nvidia/nemotron-3-nano-omni/video','succeeded',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"LONG TEXT of ann"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,'https://hooks.example/done',1,9,1767225602.0,1767225602.0,NULL,1767225602.0,1767225603.0,1,1,NULL,NULL,0,'{"version":1,"answer":{"output":"LONG TEXT, and its end.","reasoning":null,"finish_reason":"stop","input_tokens":120,"output_tokens":9,"video":null}}',NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(3,'j-unkept','ann','nvidia/nemotron-3-nano-omni/video','succeeded',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,0,9,1767225604.0,1767225604.0,NULL,1767225604.0,1767225605.0,1,1,NULL,NULL,0,'{"version":1,"answer":{"output":"LONG TEXT for an hour","reasoning":null,"finish_reason":"stop","input_tokens":120,"output_tokens":9,"video":null}}',NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(4,'j-failed','ann','nvidia/nemotron-3-nano-omni/video','failed',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"LONG TEXT"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,1,9,1767225606.0,1767225606.0,NULL,1767225606.0,1767225607.0,1,1,NULL,NULL,0,'{"version":1,"failure":{"kind":"video_corrupt","message":"The video is damaged.","hint":null,"about":"media","ctx":{},"after_s":null,"is_callers":true,"value":null}}','{"kind":"video_corrupt","message":"The video is damaged.","hint":null,"about":"media","ctx":{},"after_s":null,"is_callers":true,"value":null}',1,0,0,'',0);
INSERT INTO jobs VALUES(5,'j-running','bob','nvidia/nemotron-3-nano-omni/video','running',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"LONG TEXT that runs"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,1,9,1767225608.0,1767225608.0,NULL,1767225608.0,NULL,1,1,'server-1',1767225639.5,0,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(6,'j-crashed','bob','nvidia/nemotron-3-nano-omni/video','queued',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"LONG TEXT that crashed once"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,1,8,1767225609.0,1767225626.5,NULL,1767225609.0,NULL,1,1,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(7,'j-waiting','bob','nvidia/nemotron-3-nano-omni/video','queued',0,NULL,'{"version":1,"endpoint":"nvidia/nemotron-3-nano-omni/video","messages":[{"role":"user","parts":[{"media":"video","reference":"https://videos.example/clip.mp4"},{"text":"LONG TEXT that waits"}]}],"thinking":false,"sampling":{"temperature":0.7,"top_p":0.95,"max_tokens":1024,"seed":null,"reasoning_budget":null,"grace_period":0},"media":{}}',NULL,NULL,1,9,1767225630.0,1767225630.0,NULL,NULL,NULL,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,'',0);
CREATE INDEX jobs_deadlines ON jobs (start_deadline_at) WHERE state = 'queued' AND start_deadline_at IS NOT NULL;
CREATE TRIGGER jobs_end_once BEFORE UPDATE OF state ON jobs
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled')
BEGIN SELECT RAISE(ABORT, 'a job ends once'); END;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_pinned ON jobs (created_at) WHERE state = 'queued' AND pinned_to IS NOT NULL;
CREATE INDEX jobs_unkept ON jobs (keeps_io) WHERE keeps_io = 0 AND outcome IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (priority, seq) WHERE state = 'queued';
CREATE INDEX jobs_waiting_of ON jobs (owner, priority, seq) WHERE state = 'queued';
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
CREATE TABLE key_requests (
  key_id  TEXT NOT NULL,
  at      REAL NOT NULL
) STRICT;
CREATE INDEX key_requests_by_time ON key_requests (at);
CREATE INDEX key_requests_of ON key_requests (key_id, at);
CREATE TABLE keys (
  id                 TEXT PRIMARY KEY,
  account            TEXT NOT NULL CHECK (account <> ''),    -- the owner of its jobs
  name               TEXT NOT NULL,
  secret_hmac        BLOB NOT NULL,
  is_admin           INTEGER NOT NULL CHECK (is_admin IN (0, 1)),
  max_per_minute     INTEGER CHECK (max_per_minute > 0),
  max_unfinished     INTEGER CHECK (max_unfinished > 0),
  cap_micro          INTEGER CHECK (cap_micro >= 0),
  monthly_cap_micro  INTEGER CHECK (monthly_cap_micro >= 0),
  created_at         REAL NOT NULL,
  revoked_at         REAL,
  num_unfinished     INTEGER NOT NULL DEFAULT 0 CHECK (num_unfinished >= 0),
  reserved_micro     INTEGER NOT NULL DEFAULT 0 CHECK (reserved_micro >= 0)   -- by unfinished jobs
) STRICT, WITHOUT ROWID;
INSERT INTO keys VALUES('omr_00000000000000c1','ann','',X'0000000000000000000000000000000000000000000000000000000000000000',0,5,NULL,5000000,NULL,1767225600.0,NULL,0,0);
CREATE TABLE ledger (
  job_id        TEXT NOT NULL,
  kind          TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
  owner         TEXT NOT NULL,
  key_id        TEXT NOT NULL,
  at            REAL NOT NULL,
  num_tokens    INTEGER NOT NULL CHECK (num_tokens >= 0),
  amount_micro  INTEGER NOT NULL CHECK (amount_micro >= 0),  -- millionths of a US dollar
  PRIMARY KEY (job_id, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO ledger VALUES('j-long','charge','ann','',1767225603.0,129,774);
INSERT INTO ledger VALUES('j-short','charge','ann','omr_00000000000000c1',1767225601.0,129,774);
INSERT INTO ledger VALUES('j-unkept','charge','ann','',1767225605.0,129,774);
CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger WHEN NEW.key_id <> ''
BEGIN
  INSERT INTO spending VALUES (
    NEW.key_id, strftime('%Y-%m', NEW.at, 'unixepoch'), iif(NEW.kind = 'charge', 1, -1) * NEW.amount_micro)
  ON CONFLICT DO UPDATE SET amount_micro = amount_micro + excluded.amount_micro;
END;
CREATE TRIGGER ledger_is_final BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is never changed'); END;
CREATE INDEX ledger_times ON ledger (at, job_id);
CREATE TABLE log_lines (
  job_seq  INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  number   INTEGER NOT NULL,
  at       REAL NOT NULL,
  level    TEXT NOT NULL CHECK (level IN ('DEBUG', 'INFO', 'WARN', 'ERROR')),
  message  TEXT NOT NULL,
  PRIMARY KEY (job_seq, number)
) STRICT, WITHOUT ROWID;
INSERT INTO log_lines VALUES(1,0,1767225601.0,'INFO','wrote 9 tokens');
INSERT INTO log_lines VALUES(2,0,1767225603.0,'INFO','wrote 9 tokens');
INSERT INTO log_lines VALUES(3,0,1767225605.0,'INFO','wrote 9 tokens');
INSERT INTO log_lines VALUES(4,0,1767225607.0,'INFO','wrote 9 tokens');
CREATE TABLE outbox (
  id               TEXT PRIMARY KEY,                         -- the same at every attempt
  job_id           TEXT NOT NULL UNIQUE,
  owner            TEXT NOT NULL,
  url              TEXT NOT NULL,
  receiver         TEXT NOT NULL,                            -- host and port of the url
  body             BLOB NOT NULL,                            -- empty once it has been dropped
  state            TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
  attempt          INTEGER NOT NULL DEFAULT 0,
  attempts_before  INTEGER NOT NULL DEFAULT 0,               -- made before the latest replay
  created_at       REAL NOT NULL,
  next_at          REAL NOT NULL,
  claim            INTEGER NOT NULL DEFAULT 0,               -- grows with every claim; an older one is refused
  claimed_until    REAL
) STRICT;
INSERT INTO outbox VALUES('msg_j-long','j-long','ann','https://hooks.example/done','hooks.example',X'7B7D','waiting',0,0,1767225603.0,1767225603.0,0,NULL);
CREATE INDEX outbox_by_age ON outbox (created_at);
CREATE INDEX outbox_due ON outbox (next_at, claimed_until, receiver) WHERE state = 'waiting';
CREATE TABLE shares (
  owner        TEXT PRIMARY KEY,
  num_queued   INTEGER NOT NULL CHECK (num_queued >= 0),
  num_running  INTEGER NOT NULL CHECK (num_running >= 0),
  last_turn    INTEGER NOT NULL DEFAULT 0                    -- grows with every claim
) STRICT, WITHOUT ROWID;
INSERT INTO shares VALUES('ann',0,0,4);
INSERT INTO shares VALUES('bob',2,1,6);
CREATE INDEX shares_turns ON shares (last_turn);
CREATE INDEX shares_wanting ON shares (owner) WHERE num_queued > 0;
CREATE TABLE spending (
  key_id        TEXT NOT NULL,
  month         TEXT NOT NULL,                               -- like 2026-01
  amount_micro  INTEGER NOT NULL,
  PRIMARY KEY (key_id, month)
) STRICT, WITHOUT ROWID;
INSERT INTO spending VALUES('omr_00000000000000c1','2026-01',774);
CREATE TABLE upload_parts (
  blob       TEXT PRIMARY KEY,
  upload_id  TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  number     INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
  num_bytes  INTEGER NOT NULL CHECK (num_bytes >= 0),        -- what was announced, until it has arrived
  etag       TEXT                                            -- NULL until it has arrived
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX upload_parts_arrived ON upload_parts (upload_id, number) WHERE etag IS NOT NULL;
CREATE INDEX upload_parts_of ON upload_parts (upload_id);
CREATE TABLE uploads (
  id            TEXT PRIMARY KEY,                            -- random; part of the file's address
  owner         TEXT NOT NULL,
  file_name     TEXT NOT NULL,                               -- as its owner named it; never used as a path
  content_type  TEXT NOT NULL,
  origin        TEXT NOT NULL,                               -- scheme and host of the address that was given out
  token_hash    BLOB NOT NULL,                               -- of the token with which the bytes may be sent
  created_at    REAL NOT NULL,
  open_until    REAL NOT NULL,                               -- later with each part
  keep_s        REAL NOT NULL,
  blob          TEXT UNIQUE,                                 -- name of its bytes; NULL while it is open
  num_bytes     INTEGER,
  etag          TEXT,
  expires_at    REAL,
  CHECK ((blob IS NULL) = (num_bytes IS NULL) AND (blob IS NULL) = (etag IS NULL)
         AND (blob IS NULL) = (expires_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER uploads_complete_once BEFORE UPDATE OF blob ON uploads WHEN OLD.blob IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a stored file is never changed'); END;
CREATE INDEX uploads_expiring ON uploads (expires_at) WHERE blob IS NOT NULL;
CREATE INDEX uploads_open ON uploads (open_until) WHERE blob IS NULL;
DELETE FROM main.sqlite_sequence WHERE name='jobs';
INSERT INTO main.sqlite_sequence VALUES ('jobs', 7);
pragma user_version=2;
COMMIT TRANSACTION;
