-- Version 3: tokens and open uploads end with the key that they were made with.

ALTER TABLE cdn_tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT '';  -- '' for none
ALTER TABLE uploads ADD COLUMN key_id TEXT NOT NULL DEFAULT '';     -- '' for none

-- Nobody knows with which keys these were made. Clients ask for new ones by themselves.
DELETE FROM cdn_tokens WHERE owner <> '';
