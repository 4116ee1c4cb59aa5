-- +goose Up

-- Secrets that every gateway of one database shares: the key of the claim ids' MAC.
CREATE TABLE secret (
    name       text PRIMARY KEY,
    value      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A gateway process that is alive: it renews lease_until; past it, its socket subscriptions and slots are reaped.
CREATE TABLE gateway (
    id          uuid PRIMARY KEY,
    slot        bigint NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
    started_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
);

-- Work that one gateway does for all. The token grows with each new holder (a fencing token).
CREATE TABLE lease (
    name   text PRIMARY KEY,
    holder uuid NOT NULL,
    token  bigint NOT NULL,
    until  timestamptz NOT NULL
);

-- Queues. Ids are never used twice. metadata is the client's JSON object. dead_letter says whether it sets a bound of
-- claims and a dead-letter queue: who writes metadata writes it too.
CREATE TABLE queue (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    project    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    metadata   bytea NOT NULL DEFAULT '{}',
    dead_letter boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project, name)
);
CREATE INDEX queue_dead_letter ON queue (id) WHERE dead_letter;

-- The counter row of a queue: the fence of every write to it. Its lock is held to the commit, so numbers
-- become visible in order and without holes. A missing row means that the queue is gone.
CREATE TABLE queue_seq (
    id           bigint PRIMARY KEY,
    next_seq     bigint NOT NULL DEFAULT 1,   -- the next message gets this number
    purged_upto  bigint NOT NULL DEFAULT 0,   -- messages up to this number are purged, whether reaped or not
    purge_epoch  bigint NOT NULL DEFAULT 0,   -- grows with each purge; see queue_count
    inbox_purged_upto bigint NOT NULL DEFAULT 0, -- inbox rows with ids up to this one are purged, whether reaped or not
    jumped_from  bigint NOT NULL DEFAULT 0,   -- numbers [jumped_from, jumped_upto] were skipped by a failover
    jumped_upto  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

-- What left a queue, counted by the statement that took it out, one row per writer (slot) so that writers
-- never wait for one another. Rows of an older epoch are void. expired_upto is the highest number ever
-- swept for its age; claimed_upto bounds the numbers ever claimed from above. delayed counts the inbox: what was
-- put in less what was taken out, so that one writer's count may be negative.
CREATE TABLE queue_count (
    queue_id     bigint NOT NULL,
    epoch        bigint NOT NULL,
    slot         bigint NOT NULL,
    removed      bigint NOT NULL DEFAULT 0,
    delayed      bigint NOT NULL DEFAULT 0,
    claimed_upto bigint NOT NULL DEFAULT 0,
    expired_upto bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue_id, epoch, slot)
) WITH (fillfactor = 10);

-- Queues that somebody observes (a live socket subscription or a stored cursor, on any gateway): consumed
-- messages of these leave a tombstone. Apart from queue_seq so that a renewal never waits for a flush.
CREATE TABLE queue_watch (
    queue_id       bigint PRIMARY KEY,
    observed_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Messages. No index but the primary key: claiming is a HOT update and posting pays for one index.
-- claim_expires_at says who may have it: <= now() free, 'infinity' a tombstone (consumed, but subscribers may
-- still read it; claimed_at is then the time of consumption), else held by (claim_batch, seq range).
CREATE TABLE message (
    queue_id         bigint NOT NULL,
    seq              bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    claim_expires_at timestamptz NOT NULL DEFAULT '-infinity',
    claimed_at       timestamptz,
    claim_batch      bigint,              -- random number of the claim that took it last
    claim_first      bigint,              -- that claim's range of numbers, as its id tells it
    claim_last       bigint,
    inbox_id         bigint,              -- the id it was given in the inbox, which stays its id
    client_id        uuid,                -- who posted it (echo)
    post_id          uuid,                -- idempotency key of the post
    ttl              integer NOT NULL,    -- seconds
    claim_ttl        integer,             -- seconds
    claim_count      integer NOT NULL DEFAULT 0,  -- claims ever made of it
    codec            smallint NOT NULL DEFAULT 0, -- 0 JSON, 1 MessagePack
    origin           bytea,               -- JSON: where a dead letter came from
    body             bytea NOT NULL,
    PRIMARY KEY (queue_id, seq)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 100000);
ALTER TABLE message ALTER COLUMN body SET STORAGE EXTERNAL;

-- Messages that may not be numbered yet: delayed ones until due_at, and those posted by SQL inside a user's
-- own transaction until it commits. ttl counts from due_at. Ids grow over all queues; a purge of a queue makes those
-- given out so far void in it.
CREATE TABLE inbox (
    id         bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    queue_id   bigint NOT NULL,
    due_at     timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ttl        integer NOT NULL,
    client_id  uuid,
    post_id    uuid,
    codec      smallint NOT NULL DEFAULT 0,
    body       bytea NOT NULL,
    PRIMARY KEY (queue_id, id)
);
CREATE INDEX inbox_due ON inbox (due_at, id);
CREATE INDEX inbox_list ON inbox (queue_id, due_at, id);

-- Where an inbox message went, so that its id stays valid (also as a marker) until the message's expiry.
CREATE TABLE promoted (
    queue_id   bigint NOT NULL,
    inbox_id   bigint NOT NULL,
    seq        bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (queue_id, inbox_id)
);
CREATE INDEX promoted_expiry ON promoted (expires_at);

-- Subscriptions are bound to a queue's name, so they outlive the queue. gateway_id is set for a socket's
-- subscription, which lives no longer than that gateway's lease. cursor is for durable subscribers.
CREATE TABLE subscription (
    id         uuid PRIMARY KEY,
    n          bigint NOT NULL GENERATED ALWAYS AS IDENTITY,  -- list order
    project    text COLLATE "C" NOT NULL,
    queue_name text COLLATE "C" NOT NULL,
    subscriber text NOT NULL,
    ttl        integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    options    bytea NOT NULL DEFAULT '{}',
    confirmed  boolean NOT NULL DEFAULT false,
    gateway_id uuid,
    cursor     bigint,
    UNIQUE (project, queue_name, subscriber)
);
CREATE INDEX subscription_list ON subscription (project, queue_name, n);
CREATE INDEX subscription_gateway ON subscription (gateway_id);
CREATE INDEX subscription_expiry ON subscription (expires_at);

-- Queues that were deleted: the sweeper reaps their messages and then the row.
CREATE TABLE dropped_queue (
    queue_id   bigint PRIMARY KEY,
    dropped_at timestamptz NOT NULL DEFAULT now()
);

-- What the pool last saw of the server: a change means a failover or a restore.
CREATE TABLE server_identity (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier bigint NOT NULL,
    timeline          integer NOT NULL
);

-- +goose Down
DROP TABLE server_identity, dropped_queue, subscription, promoted, inbox, message, queue_watch, queue_count,
    queue_seq, queue, lease, gateway, secret;
