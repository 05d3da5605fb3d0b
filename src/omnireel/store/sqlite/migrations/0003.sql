-- Version 3: webhooks are claimed in turn between accounts.

CREATE INDEX outbox_due_of ON outbox (owner, next_at, claimed_until, receiver) WHERE state = 'waiting';
