-- +goose Up

-- Whose database this is. The row is made when the database is first used as a pool, and pool_id is 0 in the default
-- pool, which holds the catalogue: so no database is two pools, or a pool of two catalogues. In the default pool, who
-- changes pools or flavors locks the row first.
CREATE TABLE installation (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    catalogue uuid NOT NULL,
    pool_id   bigint NOT NULL
);

-- The catalogue: flavor, pool, queue_home, and of queue the columns below, are used in the default pool alone.
CREATE TABLE flavor (
    name         text COLLATE "C" PRIMARY KEY,
    capabilities bytea                 -- JSON; NULL: what the pools' stores can do
);

CREATE TABLE pool (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    uri        text NOT NULL,
    listen_uri text NOT NULL DEFAULT '',
    weight     bigint NOT NULL CHECK (weight >= 0),
    flavor     text COLLATE "C" REFERENCES flavor (name),
    options    bytea NOT NULL DEFAULT '{}'
);
CREATE INDEX pool_flavor ON pool (flavor) WHERE flavor IS NOT NULL;

-- pool_id says where a queue is; NULL: in this database. The default pool has a row for every queue, and its identity
-- column gives the ids of all. Of a queue that is elsewhere, metadata is a copy, good enough to make its row there if
-- that was left half done. flavor and dead_letter_queue repeat what the metadata say. A queue that is elsewhere is
-- marked with removed_at before it is removed there, and its row goes last. tentative says that nobody but who placed it
-- has tried to make it there: until that is done, its place may be taken back.
ALTER TABLE queue
    ADD COLUMN pool_id bigint REFERENCES pool (id),
    ADD COLUMN flavor text COLLATE "C" REFERENCES flavor (name),
    ADD COLUMN dead_letter_queue text COLLATE "C",
    ADD COLUMN removed_at timestamptz,
    ADD COLUMN tentative boolean NOT NULL DEFAULT false;
CREATE INDEX queue_pool ON queue (pool_id) WHERE pool_id IS NOT NULL;
CREATE INDEX queue_flavor ON queue (flavor) WHERE flavor IS NOT NULL;
CREATE INDEX queue_dead_letter_queue ON queue (project, dead_letter_queue) WHERE dead_letter_queue IS NOT NULL;
CREATE INDEX queue_removed ON queue (project, name) WHERE removed_at IS NOT NULL;

-- Where the subscriptions of a deleted queue are, until the last of them ends: a queue made again under that name goes
-- there. pool_id NULL: here.
CREATE TABLE queue_home (
    project    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    pool_id    bigint REFERENCES pool (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (project, name)
);
CREATE INDEX queue_home_pool ON queue_home (pool_id) WHERE pool_id IS NOT NULL;
CREATE INDEX queue_home_expiry ON queue_home (expires_at);

-- In every pool: the ids of queues that the catalogue has placed here. One that was dropped is never made again, by a
-- gateway that is late.
CREATE TABLE placed_queue (
    queue_id   bigint PRIMARY KEY,
    dropped_at timestamptz
);
CREATE INDEX placed_queue_dropped ON placed_queue (dropped_at) WHERE dropped_at IS NOT NULL;

-- +goose Down
DROP TABLE placed_queue, queue_home;
ALTER TABLE queue DROP COLUMN pool_id, DROP COLUMN flavor, DROP COLUMN dead_letter_queue, DROP COLUMN removed_at,
    DROP COLUMN tentative;
DROP TABLE pool, flavor, installation;
