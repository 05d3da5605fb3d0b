BEGIN TRANSACTION;
CREATE TABLE cdn_tokens (
  token_hash  BLOB PRIMARY KEY,
  owner       TEXT NOT NULL,
  expires_at  REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO cdn_tokens VALUES(X'47729F03AA7490DFD451D80E9750F56B79A6A39FF9F24496F224CA2464DCFFB2','ann',1767230600.0);
CREATE TABLE deliveries (
  outbox_id  TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
  attempt    INTEGER NOT NULL,
  at         REAL NOT NULL,
  status     INTEGER,
  error      TEXT,
  seconds    REAL NOT NULL,
  PRIMARY KEY (outbox_id, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries VALUES('msg_j-think',1,1767225800.0,503,NULL,0.25);
INSERT INTO deliveries VALUES('msg_j-think',2,1767225900.0,200,NULL,0.25);
INSERT INTO deliveries VALUES('msg_j-too-long',1,1767225802.0,NULL,'the address cannot be reached: refused',0.25);
INSERT INTO deliveries VALUES('msg_j-unkept',1,1767225801.0,204,NULL,0.25);
INSERT INTO deliveries VALUES('msg_j-warned',1,1767226500.0,500,NULL,1.5);
CREATE TABLE idempotency (
  owner        TEXT NOT NULL,
  key          TEXT NOT NULL,
  fingerprint  TEXT NOT NULL,
  job_id       TEXT NOT NULL,
  expires_at   REAL NOT NULL,
  PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
INSERT INTO idempotency VALUES('bob','once','sha j-again','j-again',1767313004.0);
CREATE TABLE jobs (
  seq                INTEGER PRIMARY KEY AUTOINCREMENT,
  id                 TEXT NOT NULL UNIQUE,
  owner              TEXT NOT NULL,
  state              TEXT NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  priority           INTEGER NOT NULL CHECK (priority IN (0, 1)),
  pinned_to          TEXT,
  input              TEXT NOT NULL,
  video              TEXT,
  webhook_url        TEXT,
  keeps_io           INTEGER NOT NULL CHECK (keeps_io IN (0, 1)),
  retries            INTEGER NOT NULL CHECK (retries >= 0),
  created_at         REAL NOT NULL,
  run_after          REAL NOT NULL,
  start_deadline_at  REAL,
  started_at         REAL,
  finished_at        REAL,
  attempt            INTEGER NOT NULL DEFAULT 0,
  lease_token        INTEGER NOT NULL DEFAULT 0,
  lease_owner        TEXT,
  lease_until        REAL,
  cancel_requested   INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  status             INTEGER,
  headers            TEXT,
  body               TEXT,
  error              TEXT,
  error_type         TEXT,
  input_tokens       INTEGER,
  output_tokens      INTEGER,
  key_id             TEXT NOT NULL DEFAULT '',
  reserved_micro     INTEGER NOT NULL DEFAULT 0 CHECK (reserved_micro >= 0),
  CHECK ((state = 'running') = (lease_until IS NOT NULL AND lease_owner IS NOT NULL)),
  CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
  CHECK ((state IN ('queued', 'running')) = (status IS NULL))
) STRICT;
INSERT INTO jobs VALUES(2,'j-plain','ann','succeeded',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4", "enable_safety_checker": false, "unknown_field": [1, {"a": 2}]}',NULL,NULL,1,9,1767225610.0,1767225610.0,NULL,1767225610.5,1767225614.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "0.12900000"}','{"output": "A ball rolls to the left.", "finish_reason": "stop", "usage": {"input_tokens": 120, "output_tokens": 9}}',NULL,NULL,120,9,'omr_00000000000000c1',60000);
INSERT INTO jobs VALUES(3,'j-think','ann','succeeded',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4", "reasoning_mode": "think", "system_prompt": "Answer in one word.", "max_tokens": 200, "temperature": 0, "top_p": 0.5, "seed": 7, "reasoning_budget": 64, "grace_period": 8, "fps": 2, "max_frames": 16, "start_s": 0.5, "end_s": 4, "video_pruning_rate": 0.25, "use_audio": true}',NULL,'https://hooks.example:8443/done',1,9,1767225620.0,1767225620.0,NULL,1767225620.5,1767225624.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "1.10000000"}','{"output": "<think>It moves\nleft.</think>\n\nLeft \u2013 \u2713 \ud83d\ude00", "finish_reason": "length", "usage": {"input_tokens": 900, "output_tokens": 200}, "reasoning": "It moves\nleft.", "video": {"width": 640, "height": 360, "codec": "h264", "source_fps": 29.97, "duration_s": 4.5, "has_audio": true, "audio": "used", "audio_tokens": 57, "frame_times_s": [0.0, 1.001, 2.002, 3.003], "vision_tokens": 96, "kept_tokens": 48, "warnings": ["the clip has no keyframe at its start"]}}',NULL,NULL,900,200,'omr_00000000000000c1',60000);
INSERT INTO jobs VALUES(4,'j-warned','ann','succeeded',0,NULL,'{"prompt": "Was h\u00f6rst du? \ud83c\udfa7", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225630.0,1767225630.0,NULL,1767225630.5,1767225634.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "0.12900000"}','{"output": "A ball rolls to the left.", "finish_reason": "stop", "usage": {"input_tokens": 120, "output_tokens": 9}, "video": {"width": 640, "height": 360, "codec": "h264", "source_fps": 29.97, "duration_s": 4.5, "has_audio": true, "audio": "used", "audio_tokens": 57, "frame_times_s": [0.0, 1.001, 2.002, 3.003], "vision_tokens": 96, "kept_tokens": 48, "warnings": ["the clip has no keyframe at its start"]}}',NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(5,'j-unkept','ann','succeeded',0,NULL,'{}',NULL,'https://hooks.example/unkept',0,9,1767225640.0,1767225640.0,NULL,1767225640.5,1767225644.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "0.12900000"}','{"output": "A ball rolls to the left.", "finish_reason": "stop", "usage": {"input_tokens": 120, "output_tokens": 9}, "video": {"width": 640, "height": 360, "codec": "h264", "source_fps": 29.97, "duration_s": 4.5, "has_audio": true, "audio": "used", "audio_tokens": 57, "frame_times_s": [0.0, 1.001, 2.002, 3.003], "vision_tokens": 96, "kept_tokens": 48, "warnings": []}}',NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(6,'j-unkept-purged','ann','succeeded',0,NULL,'{}',NULL,NULL,0,9,1767216600.0,1767216600.0,NULL,1767216600.5,1767216604.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "0.12900000"}',NULL,NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(7,'j-dropped','ann','succeeded',0,NULL,'{}',NULL,NULL,1,9,1767225660.0,1767225660.0,NULL,1767225660.5,1767225664.0,1,1,NULL,NULL,0,200,'{"x-fal-billable-units": "0.12900000"}',NULL,NULL,NULL,120,9,'',0);
INSERT INTO jobs VALUES(8,'j-too-long','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4", "reasoning_mode": "think"}',NULL,'https://hooks.example/failed',1,9,1767225670.0,1767225670.0,NULL,1767225670.5,1767225674.0,1,1,NULL,NULL,0,422,'{"x-fal-billable-units": "0"}','{"detail": [{"loc": ["body", "video_url"], "msg": "the video is 130.0 s long, limit 120.0 s", "type": "video_duration_too_long", "url": "https://docs.fal.ai/errors/#video_duration_too_long", "ctx": {"max_duration": 120.0, "provided_duration": 130.0}, "input": "https://videos.example/clip.mp4"}], "message": "video_url: the video is 130.0 s long, limit 120.0 s; send a shorter part; or name one with start_s and end_s"}','video_url: the video is 130.0 s long, limit 120.0 s; send a shorter part; or name one with start_s and end_s','video_duration_too_long',0,0,'',0);
INSERT INTO jobs VALUES(9,'j-dropped-error','bob','failed',0,NULL,'{}',NULL,NULL,1,9,1767225675.0,1767225675.0,NULL,1767225675.5,1767225679.0,1,1,NULL,NULL,0,422,'{"x-fal-billable-units": "0"}',NULL,'video_url: the video is 130.0 s long, limit 120.0 s; send a shorter part; or name one with start_s and end_s','video_duration_too_long',0,0,'',0);
INSERT INTO jobs VALUES(10,'j-prompt','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225680.0,1767225680.0,NULL,1767225680.5,1767225684.0,1,1,NULL,NULL,0,422,'{"x-fal-billable-units": "0"}','{"detail": [{"loc": ["body", "prompt"], "msg": "the prompt has 70000 tokens, limit 60000", "type": "prompt_too_long", "input": "What happens?"}], "message": "prompt: the prompt has 70000 tokens, limit 60000; shorten it"}','prompt: the prompt has 70000 tokens, limit 60000; shorten it','prompt_too_long',0,0,'',0);
INSERT INTO jobs VALUES(11,'j-late-start','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4", "start_s": 9.0}',NULL,NULL,1,9,1767225685.0,1767225685.0,NULL,1767225685.5,1767225689.0,1,1,NULL,NULL,0,422,'{"x-fal-billable-units": "0"}','{"detail": [{"loc": ["body", "start_s"], "msg": "nothing is left of the clip", "type": "less_than", "url": "https://docs.fal.ai/errors/#less_than", "ctx": {"lt": 4.5}, "input": 9.0}], "message": "start_s: nothing is left of the clip"}','start_s: nothing is left of the clip','less_than',0,0,'',0);
INSERT INTO jobs VALUES(12,'j-full','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,0,1767225690.0,1767225690.0,NULL,1767225690.5,1767225694.0,1,1,NULL,NULL,0,429,'{"x-fal-error-type": "concurrent_requests_limit", "x-fal-billable-units": "0", "x-fal-needs-retry": "1", "retry-after": "3"}','{"detail": "the engine is full", "error_type": "concurrent_requests_limit", "message": "the engine is full"}','the engine is full','concurrent_requests_limit',0,0,'',0);
INSERT INTO jobs VALUES(13,'j-timeout','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225700.0,1767225700.0,NULL,1767225700.5,1767225704.0,1,1,NULL,NULL,0,504,'{"x-fal-billable-units": "0"}','{"detail": [{"loc": ["body"], "msg": "the answer took longer than 600 s", "type": "generation_timeout", "url": "https://docs.fal.ai/errors/#generation_timeout"}], "message": "the answer took longer than 600 s"}','the answer took longer than 600 s','generation_timeout',0,0,'',0);
INSERT INTO jobs VALUES(14,'j-internal','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225710.0,1767225710.0,NULL,1767225710.5,1767225714.0,1,1,NULL,NULL,0,500,'{"x-fal-billable-units": "0"}','{"detail": [{"loc": ["body"], "msg": "Internal Server Error", "type": "internal_server_error", "url": "https://docs.fal.ai/errors/#internal_server_error"}], "message": "Internal Server Error"}','Internal Server Error','internal_server_error',0,0,'',0);
INSERT INTO jobs VALUES(15,'j-not-started-by-backend','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225715.0,1767225715.0,NULL,1767225715.5,1767225719.0,1,1,NULL,NULL,0,504,'{"x-fal-error-type": "request_timeout", "x-fal-billable-units": "0", "x-fal-request-timeout-type": "user"}','{"detail": "the request did not start within 2.5 s", "error_type": "request_timeout", "message": "the request did not start within 2.5 s"}','the request did not start within 2.5 s','request_timeout',0,0,'',0);
INSERT INTO jobs VALUES(16,'j-cancelled','bob','cancelled',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225720.0,1767225720.0,NULL,NULL,1767225721.0,0,0,NULL,NULL,0,499,'{"x-fal-error-type": "client_cancelled", "x-fal-billable-units": "0"}','{"detail": "the request was cancelled", "error_type": "client_cancelled", "message": "the request was cancelled"}','the request was cancelled','client_cancelled',0,0,'',0);
INSERT INTO jobs VALUES(17,'j-lost','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,0,1767225730.0,1767225730.0,NULL,1767225730.0,1767225760.0,1,1,NULL,NULL,0,503,'{"x-fal-error-type": "runner_disconnected", "x-fal-billable-units": "0"}','{"detail": "the request was lost with its worker", "error_type": "runner_disconnected", "message": "the request was lost with its worker"}','the request was lost with its worker','runner_disconnected',0,0,'',0);
INSERT INTO jobs VALUES(18,'j-not-started','bob','failed',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767225730.0,1767225730.0,1767225735.0,NULL,1767225760.0,0,0,NULL,NULL,0,504,'{"x-fal-error-type": "request_timeout", "x-fal-billable-units": "0", "x-fal-request-timeout-type": "user"}','{"detail": "the request did not start in time", "error_type": "request_timeout", "message": "the request did not start in time"}','the request did not start in time','request_timeout',0,0,'',0);
INSERT INTO jobs VALUES(19,'j-running','ann','running',0,NULL,'{"prompt": "Why?", "video_url": "data:video/mp4;base64,\u2026 (1234 characters)"}','j-running','https://hooks.example/later',1,9,1767226600.0,1767226600.0,NULL,1767226601.0,NULL,1,1,'server-1',1767226616.0,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'omr_00000000000000c1',60000);
INSERT INTO jobs VALUES(20,'j-pinned','carl','running',0,'server-1','{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,0,0,1767226603.0,1767226603.0,NULL,1767226603.0,NULL,1,1,'server-1',1767226618.0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(21,'j-again','bob','queued',0,NULL,'{"prompt": "What happens?", "video_url": "https://videos.example/clip.mp4", "max_tokens": 5}',NULL,NULL,1,2,1767226604.0,1767226636.0,NULL,1767226605.0,NULL,1,1,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(22,'j-queued-low','ann','queued',1,NULL,'{"prompt": "question 0", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767226610.0,1767226610.0,NULL,NULL,NULL,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(23,'j-queued-1','ann','queued',0,NULL,'{"prompt": "question 1", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767226611.0,1767226611.0,1767227211.0,NULL,NULL,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'omr_00000000000000c1',60000);
INSERT INTO jobs VALUES(24,'j-queued-2','bob','queued',0,NULL,'{"prompt": "question 2", "video_url": "https://videos.example/clip.mp4"}',NULL,NULL,1,9,1767226612.0,1767226612.0,NULL,NULL,NULL,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',0);
INSERT INTO jobs VALUES(25,'j-queued-3','ann','queued',0,NULL,'{"prompt": "question 3", "video_url": "https://videos.example/clip.mp4"}','j-queued-3',NULL,1,9,1767226613.0,1767226613.0,NULL,NULL,NULL,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',0);
CREATE INDEX jobs_deadlines ON jobs (start_deadline_at) WHERE state = 'queued' AND start_deadline_at IS NOT NULL;
CREATE TRIGGER jobs_end_once BEFORE UPDATE OF state ON jobs
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled')
BEGIN SELECT RAISE(ABORT, 'a job ends once'); END;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_on_the_line ON jobs (created_at) WHERE state = 'queued' AND pinned_to IS NOT NULL;
CREATE INDEX jobs_unkept ON jobs (keeps_io) WHERE keeps_io = 0 AND body IS NOT NULL;
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
CREATE TABLE keys (
  id                 TEXT PRIMARY KEY,
  account            TEXT NOT NULL CHECK (account <> ''),
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
  reserved_micro     INTEGER NOT NULL DEFAULT 0 CHECK (reserved_micro >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO keys VALUES('omr_00000000000000ad','omr_00000000000000ad','',X'F022E091703B429857926A698F9B1D19DF7909EE9ADA640BFF183C8BF47E4C32',1,NULL,NULL,NULL,NULL,1767225601.0,NULL,0,0);
INSERT INTO keys VALUES('omr_00000000000000c1','ann','laptop',X'0B28B35A2636BA2E13226C4F5DA305EFE29561A71CF2B095C23FF285C0F994CA',0,30,5,5000000,2000000,1767225600.0,NULL,2,120000);
INSERT INTO keys VALUES('omr_00000000000000dd','bob','lost',X'665283B1DA9B361C7EB1DD986E17A0389521E6C1696F6F69CE1BA682FFBEA02A',0,NULL,NULL,NULL,NULL,1767225602.0,1767226100.0,0,0);
CREATE TABLE ledger (
  job_id        TEXT NOT NULL,
  kind          TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
  owner         TEXT NOT NULL,
  key_id        TEXT NOT NULL,
  at            REAL NOT NULL,
  num_tokens    INTEGER NOT NULL CHECK (num_tokens >= 0),
  amount_micro  INTEGER NOT NULL CHECK (amount_micro >= 0),
  PRIMARY KEY (job_id, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO ledger VALUES('j-dropped','charge','ann','',1767225664.0,129,774);
INSERT INTO ledger VALUES('j-plain','charge','ann','omr_00000000000000c1',1767225614.0,129,774);
INSERT INTO ledger VALUES('j-purged','charge','ann','',1767025604.0,42,252);
INSERT INTO ledger VALUES('j-think','charge','ann','omr_00000000000000c1',1767225624.0,1100,6600);
INSERT INTO ledger VALUES('j-unkept','charge','ann','',1767225644.0,129,774);
INSERT INTO ledger VALUES('j-unkept-purged','charge','ann','',1767216604.0,129,774);
INSERT INTO ledger VALUES('j-warned','charge','ann','',1767225634.0,129,774);
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
INSERT INTO log_lines VALUES(2,0,1767225611.0,'INFO','1.2 MB of video received');
INSERT INTO log_lines VALUES(2,1,1767225611.0,'INFO','wrote 9 tokens');
INSERT INTO log_lines VALUES(19,0,1767226601.0,'INFO','1 of 4 frames read');
INSERT INTO log_lines VALUES(19,1,1767226602.0,'WARN','the sound is cut');
CREATE TABLE outbox (
  id               TEXT PRIMARY KEY,
  job_id           TEXT NOT NULL UNIQUE,
  owner            TEXT NOT NULL,
  url              TEXT NOT NULL,
  receiver         TEXT NOT NULL,
  body             BLOB NOT NULL,
  state            TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
  attempt          INTEGER NOT NULL DEFAULT 0,
  attempts_before  INTEGER NOT NULL DEFAULT 0,
  created_at       REAL NOT NULL,
  next_at          REAL NOT NULL,
  claim            INTEGER NOT NULL DEFAULT 0,
  claimed_until    REAL
) STRICT;
INSERT INTO outbox VALUES('msg_j-think','j-think','ann','https://hooks.example:8443/done','hooks.example:8443',X'7B22726571756573745F6964223A226A2D7468696E6B222C22676174657761795F726571756573745F6964223A226A2D7468696E6B222C22737461747573223A224F4B222C227061796C6F6164223A7B226F7574707574223A223C7468696E6B3E4974206D6F7665735C6E6C6566742E3C2F7468696E6B3E5C6E5C6E4C65667420E2809320E29C9320F09F9880222C2266696E6973685F726561736F6E223A226C656E677468222C227573616765223A7B22696E7075745F746F6B656E73223A3930302C226F75747075745F746F6B656E73223A3230307D2C22726561736F6E696E67223A224974206D6F7665735C6E6C6566742E222C22766964656F223A7B227769647468223A3634302C22686569676874223A3336302C22636F646563223A2268323634222C22736F757263655F667073223A32392E39372C226475726174696F6E5F73223A342E352C226861735F617564696F223A747275652C22617564696F223A2275736564222C22617564696F5F746F6B656E73223A35372C226672616D655F74696D65735F73223A5B302E302C312E3030312C322E3030322C332E3030335D2C22766973696F6E5F746F6B656E73223A39362C226B6570745F746F6B656E73223A34382C227761726E696E6773223A5B2274686520636C697020686173206E6F206B65796672616D6520617420697473207374617274225D7D7D2C226D657472696373223A7B2262696C6C61626C655F756E697473223A312E312C22636F73745F757364223A302E303036367D7D','delivered',2,0,1767225624.0,1767225900.0,2,NULL);
INSERT INTO outbox VALUES('msg_j-unkept','j-unkept','ann','https://hooks.example/unkept','hooks.example',X'','delivered',1,0,1767225644.0,1767225644.0,1,NULL);
INSERT INTO outbox VALUES('msg_j-too-long','j-too-long','bob','https://hooks.example/failed','hooks.example',X'7B22726571756573745F6964223A226A2D746F6F2D6C6F6E67222C22676174657761795F726571756573745F6964223A226A2D746F6F2D6C6F6E67222C22737461747573223A224552524F52222C227061796C6F6164223A7B2264657461696C223A5B7B226C6F63223A5B22626F6479222C22766964656F5F75726C225D2C226D7367223A2274686520766964656F206973203133302E302073206C6F6E672C206C696D6974203132302E302073222C2274797065223A22766964656F5F6475726174696F6E5F746F6F5F6C6F6E67222C2275726C223A2268747470733A2F2F646F63732E66616C2E61692F6572726F72732F23766964656F5F6475726174696F6E5F746F6F5F6C6F6E67222C22637478223A7B226D61785F6475726174696F6E223A3132302E302C2270726F76696465645F6475726174696F6E223A3133302E307D2C22696E707574223A2268747470733A2F2F766964656F732E6578616D706C652F636C69702E6D7034227D5D2C226D657373616765223A22766964656F5F75726C3A2074686520766964656F206973203133302E302073206C6F6E672C206C696D6974203132302E3020733B2073656E6420612073686F7274657220706172743B206F72206E616D65206F6E6520776974682073746172745F7320616E6420656E645F73227D2C226D657472696373223A7B2262696C6C61626C655F756E697473223A302E302C22636F73745F757364223A302E307D2C226572726F72223A22496E76616C69642073746174757320636F64653A20343232227D','given_up',1,0,1767225674.0,1767225674.0,1,NULL);
INSERT INTO outbox VALUES('msg_j-warned','j-warned','ann','https://Slow.Example/x','slow.example',X'7B22726571756573745F6964223A226A2D7761726E6564222C22737461747573223A224F4B227D','waiting',1,0,1767225635.0,1767226505.0,2,1767226551.0);
CREATE INDEX outbox_by_age ON outbox (created_at);
CREATE INDEX outbox_due ON outbox (next_at, claimed_until, receiver) WHERE state = 'waiting';
CREATE TABLE shares (
  owner        TEXT PRIMARY KEY,
  num_queued   INTEGER NOT NULL CHECK (num_queued >= 0),
  num_running  INTEGER NOT NULL CHECK (num_running >= 0),
  last_turn    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO shares VALUES('ann',3,1,16);
INSERT INTO shares VALUES('bob',2,0,18);
INSERT INTO shares VALUES('carl',0,1,17);
CREATE INDEX shares_turns ON shares (last_turn);
CREATE INDEX shares_wanting ON shares (owner) WHERE num_queued > 0;
CREATE TABLE spending (
  key_id        TEXT NOT NULL,
  month         TEXT NOT NULL,
  amount_micro  INTEGER NOT NULL,
  PRIMARY KEY (key_id, month)
) STRICT, WITHOUT ROWID;
INSERT INTO spending VALUES('omr_00000000000000c1','2026-01',7374);
CREATE TABLE upload_parts (
  blob       TEXT PRIMARY KEY,
  upload_id  TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  number     INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
  num_bytes  INTEGER NOT NULL CHECK (num_bytes >= 0),
  etag       TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO upload_parts VALUES('blob-part-1','u-parts',1,500,'p1');
INSERT INTO upload_parts VALUES('blob-part-2','u-parts',2,500,'p2');
INSERT INTO upload_parts VALUES('blob-part-3','u-parts',3,200,NULL);
CREATE UNIQUE INDEX upload_parts_arrived ON upload_parts (upload_id, number) WHERE etag IS NOT NULL;
CREATE INDEX upload_parts_of ON upload_parts (upload_id);
CREATE TABLE uploads (
  id            TEXT PRIMARY KEY,
  owner         TEXT NOT NULL,
  file_name     TEXT NOT NULL,
  content_type  TEXT NOT NULL,
  origin        TEXT NOT NULL,
  token_hash    BLOB NOT NULL,
  created_at    REAL NOT NULL,
  open_until    REAL NOT NULL,
  keep_s        REAL NOT NULL,
  blob          TEXT UNIQUE,
  num_bytes     INTEGER,
  etag          TEXT,
  expires_at    REAL,
  CHECK ((blob IS NULL) = (num_bytes IS NULL) AND (blob IS NULL) = (etag IS NULL)
         AND (blob IS NULL) = (expires_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO uploads VALUES('u-complete','ann','u-complete.mp4','video/mp4','http://here:8000',X'649C34A405AA82B7FD64E6D32CE9B8C45C3C2F6A1DF361C6FEA8643CDD698D4F',1767225900.0,1767229501.0,86400.0,'blob-complete',1000,'e1',1767312302.0);
INSERT INTO uploads VALUES('u-open','bob','u-open.mp4','video/mp4','http://here:8000',X'8011C17F3C7C4A6AB887FD5409F747A9AD8D6298EF435473A578440088BCE709',1767225920.0,1767229520.0,86400.0,NULL,NULL,NULL,NULL);
INSERT INTO uploads VALUES('u-parts','bob','u-parts.mp4','video/mp4','http://here:8000',X'1D5B64EEEEC92747A668471067C8969DA76EA563622B9D608079FE6F5CC88596',1767225910.0,1767229513.0,86400.0,NULL,NULL,NULL,NULL);
CREATE TRIGGER uploads_complete_once BEFORE UPDATE OF blob ON uploads WHEN OLD.blob IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a stored file is never changed'); END;
CREATE INDEX uploads_expiring ON uploads (expires_at) WHERE blob IS NOT NULL;
CREATE INDEX uploads_open ON uploads (open_until) WHERE blob IS NULL;
DELETE FROM main.sqlite_sequence WHERE name='jobs';
INSERT INTO main.sqlite_sequence VALUES ('jobs', 26);
pragma user_version=1;
COMMIT TRANSACTION;
