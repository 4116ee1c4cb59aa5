-- +goose Up

-- What whoever changes a subscription writes. version grows with every change that its deliverer has to see.
-- must_confirm: its subscriber was to be asked for confirmation when it was made, and is again under a new address.
-- asked_at is when that was last ordered.
-- secrets sign a webhook's requests, the newest first; each is valid until the time of the same place in
-- secrets_until, the newest for ever. Empty in a socket's subscription.
ALTER TABLE subscription
    ADD COLUMN version       bigint NOT NULL DEFAULT 0,
    ADD COLUMN must_confirm  boolean NOT NULL DEFAULT false,
    ADD COLUMN asked_at      timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN secrets       bytea[] NOT NULL DEFAULT '{}',
    ADD COLUMN secrets_until timestamptz[] NOT NULL DEFAULT '{}',
    -- It was never used. A gateway of the version before, which does not know that a durable subscription needs a row
    -- in delivery, names it when it makes one: so it is refused rather than stored and never delivered.
    DROP COLUMN cursor;

-- Until when a queue stays observed, and whose cursors keep its tombstones.
CREATE INDEX subscription_durable ON subscription (project, queue_name, expires_at) WHERE gateway_id IS NULL;

-- What whoever delivers for a durable subscription writes, apart from it: its row is narrow, with few indexes. cursor
-- counts in the queue queue_id, 0 if there was none yet; everything up to it was delivered or is dead. attempts failed
-- for what comes after it, and the next one is not made before next_attempt. The lease is live until lease_until; the
-- token grows with each that is given. dropped counts dead deliveries that had to go for newer ones.
-- active: there is something to do also where subscribers have to confirm first.
CREATE TABLE delivery (
    subscription_id uuid PRIMARY KEY REFERENCES subscription (id) ON DELETE CASCADE,
    queue_id     bigint NOT NULL,
    cursor       bigint NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT '-infinity',
    lease_holder uuid,
    lease_token  bigint NOT NULL DEFAULT 0,
    lease_until  timestamptz NOT NULL DEFAULT '-infinity',
    dropped      bigint NOT NULL DEFAULT 0,
    confirmed    boolean NOT NULL DEFAULT false,  -- as in subscription
    confirm      boolean NOT NULL DEFAULT false,  -- the subscriber is yet to be asked for confirmation
    resends      boolean NOT NULL DEFAULT false,  -- there may be dead deliveries to send again
    active       boolean NOT NULL GENERATED ALWAYS AS (confirmed OR confirm OR resends) STORED
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_lease ON delivery (active, lease_until);

-- How many requests for confirmation may still be sent until then: to an address, or on behalf of a project, of which the
-- key is a hash. It outlives the subscriptions, for else they would be made and deleted again and again.
CREATE TABLE confirmation_quota (
    key        bytea PRIMARY KEY,
    remaining  integer NOT NULL,
    until      timestamptz NOT NULL
);
CREATE INDEX confirmation_quota_until ON confirmation_quota (until);

-- Messages that could not be delivered. A subscriber has a bounded number of them, the latest.
CREATE TABLE dead_delivery (
    subscription_id uuid NOT NULL REFERENCES delivery (subscription_id) ON DELETE CASCADE,
    id         bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    queue_id   bigint NOT NULL,             -- with n and inbox, the message's id
    n          bigint NOT NULL,
    inbox      boolean NOT NULL,
    ttl        integer NOT NULL,            -- the message's, in seconds
    codec      smallint NOT NULL,
    attempts   integer NOT NULL,
    reason     text NOT NULL,
    failed_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    resend     boolean NOT NULL DEFAULT false,
    body       bytea NOT NULL,
    PRIMARY KEY (subscription_id, id)
);
ALTER TABLE dead_delivery ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX dead_delivery_resend ON dead_delivery (subscription_id, id) WHERE resend;
CREATE INDEX dead_delivery_expiry ON dead_delivery (expires_at);

-- Durable subscriptions of the version before were stored and never delivered: nothing was promised to them. They get
-- what is posted from here on. A queue that does not exist will be delivered from its beginning. A secret is 32 bytes
-- with 244 bits of PostgreSQL's strong random numbers.
INSERT INTO delivery (subscription_id, queue_id, cursor, confirmed)
SELECT s.id, coalesce(c.id, 0), coalesce(c.next_seq - 1, 0), s.confirmed
FROM subscription s
LEFT JOIN queue q ON q.project = s.project AND q.name = s.queue_name
LEFT JOIN queue_seq c ON c.id = q.id
WHERE s.gateway_id IS NULL;

UPDATE subscription SET secrets = ARRAY[uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())],
    secrets_until = ARRAY['infinity'::timestamptz]
WHERE gateway_id IS NULL;

INSERT INTO queue_watch AS w (queue_id, observed_until)
SELECT q.id, max(s.expires_at) FROM subscription s JOIN queue q ON q.project = s.project AND q.name = s.queue_name
WHERE s.gateway_id IS NULL GROUP BY q.id
ON CONFLICT (queue_id) DO UPDATE SET observed_until = EXCLUDED.observed_until
    WHERE w.observed_until < EXCLUDED.observed_until;

-- +goose Down
DROP TABLE dead_delivery, delivery, confirmation_quota;
DROP INDEX subscription_durable;
ALTER TABLE subscription DROP COLUMN version, DROP COLUMN must_confirm, DROP COLUMN asked_at, DROP COLUMN secrets, DROP COLUMN secrets_until,
    ADD COLUMN cursor bigint;
