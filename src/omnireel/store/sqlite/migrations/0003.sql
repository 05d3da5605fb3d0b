-- Version 3: leases, deadlines and retention follow store time (see clock.py), and what a key has made ends with it.
-- Store time: jobs.run_after, start_deadline_at, lease_until, kept_since; outbox.next_at, claimed_until;
-- uploads.open_until, expires_at; expires_at of tokens and idempotency keys; key_requests.at. All other times are the
-- wall clock's. Old rows have the wall clock's times, with which store time begins.

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
