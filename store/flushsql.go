package store

// The statements of a flush. All run in one implicit transaction: they are sent together and end with one Sync. The
// update of the counter row comes first and its lock is held to the commit, so numbers become visible in order and
// without holes; the row's absence means that the queue is gone, and then nothing is stored.
//
// Each returns one row per queue, never one per message.

// sqlPostOne numbers and stores messages of one queue: $1 queue, $2 how many, then a value per message each.
const sqlPostOne = `
WITH counter AS (
    UPDATE queue_seq SET next_seq = next_seq + $2 WHERE id = $1 RETURNING next_seq - $2 AS base
), stored AS (
    INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, client_id, codec, body)
    SELECT $1, c.base + x.o - 1, now(), now() + x.ttl * interval '1 s', x.ttl, x.client_id, x.codec, x.body
    FROM counter c, unnest($3::int4[], $4::uuid[], $5::int2[], $6::bytea[])
        WITH ORDINALITY AS x(ttl, client_id, codec, body, o)
    RETURNING 1
)
SELECT $1, c.base, (SELECT count(*) FROM stored) FROM counter c`

// sqlDelayOne puts delayed messages of one queue into the inbox: $1 queue, $7 counting slot, else a value per message
// each. The lock on the counter row keeps the queue from being deleted or purged until the commit: so ids of the inbox
// that come after a purge are higher than those before it, and the epoch is the one that counts.
const sqlDelayOne = `
WITH counter AS MATERIALIZED (
    SELECT id, purge_epoch FROM queue_seq WHERE id = $1 FOR NO KEY UPDATE
), stored AS (
    INSERT INTO inbox (queue_id, due_at, ttl, client_id, codec, body)
    SELECT $1, now() + x.delay * interval '1 s', x.ttl, x.client_id, x.codec, x.body
    FROM counter c, unnest($2::int4[], $3::int4[], $4::uuid[], $5::int2[], $6::bytea[])
        WITH ORDINALITY AS x(delay, ttl, client_id, codec, body, o)
    ORDER BY x.o
    RETURNING id
), counted AS (
    INSERT INTO queue_count (queue_id, epoch, slot, delayed)
    SELECT c.id, c.purge_epoch, $7, n.n FROM counter c, (SELECT count(*) AS n FROM stored) n
    ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET delayed = queue_count.delayed + EXCLUDED.delayed
)
SELECT $1, (SELECT array_agg(id ORDER BY id) FROM stored) FROM counter c`

// With many queues, one statement for all of them costs less than one each. Their counters are locked by a statement
// of its own ahead: in the order of ids, and so that the next one, with its newer snapshot, finds them unchanged.

// sqlLockMany locks the counters of queues $1, sorted.
const sqlLockMany = `SELECT id FROM queue_seq WHERE id = ANY($1::int8[]) ORDER BY id FOR NO KEY UPDATE`

// sqlPostMany numbers and stores messages of many queues: $1 queues, sorted, $2 how many messages each; then a value
// per message each: its queue, its place among that queue's messages from 0, ttl, client, codec, body. width_bucket
// finds a queue's place in a sorted array: no join of the messages with the queues, which without hash and merge joins
// would compare each with each.
const sqlPostMany = `
WITH counter AS (
    UPDATE queue_seq q SET next_seq = q.next_seq + ($2::int8[])[width_bucket(q.id, $1::int8[])]
    WHERE q.id = ANY($1::int8[])
    RETURNING q.id, q.next_seq - ($2::int8[])[width_bucket(q.id, $1::int8[])] AS base
), counters AS MATERIALIZED (
    SELECT array_agg(id ORDER BY id) AS ids, array_agg(base ORDER BY id) AS bases FROM counter
), stored AS (
    INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, client_id, codec, body)
    SELECT x.queue_id, c.bases[width_bucket(x.queue_id, c.ids)] + x.o, now(), now() + x.ttl * interval '1 s',
        x.ttl, x.client_id, x.codec, x.body
    FROM counters c, unnest($3::int8[], $4::int8[], $5::int4[], $6::uuid[], $7::int2[], $8::bytea[])
        AS x(queue_id, o, ttl, client_id, codec, body)
    WHERE c.ids[width_bucket(x.queue_id, c.ids)] = x.queue_id
    RETURNING 1
)
SELECT c.id, c.base, (SELECT count(*) FROM stored) FROM counter c`

// sqlDelayMany puts delayed messages of many queues into the inbox: $7 counting slot, else a value per message each.
const sqlDelayMany = `
WITH stored AS (
    INSERT INTO inbox (queue_id, due_at, ttl, client_id, codec, body)
    SELECT x.queue_id, now() + x.delay * interval '1 s', x.ttl, x.client_id, x.codec, x.body
    FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::uuid[], $5::int2[], $6::bytea[])
        WITH ORDINALITY AS x(queue_id, delay, ttl, client_id, codec, body, o)
    WHERE EXISTS (SELECT FROM queue_seq q WHERE q.id = x.queue_id)
    ORDER BY x.o
    RETURNING queue_id, id
), grouped AS MATERIALIZED (
    SELECT queue_id, array_agg(id ORDER BY id) AS ids FROM stored GROUP BY queue_id
), counted AS (
    INSERT INTO queue_count (queue_id, epoch, slot, delayed)
    SELECT c.id, c.purge_epoch, $7, cardinality(g.ids) FROM grouped g JOIN queue_seq c ON c.id = g.queue_id ORDER BY c.id
    ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET delayed = queue_count.delayed + EXCLUDED.delayed
)
SELECT queue_id, ids FROM grouped`

// flushStatements are prepared on each connection of the flusher, by name.
var flushStatements = map[string]string{
	"post_one": sqlPostOne, "delay_one": sqlDelayOne,
	"lock_many": sqlLockMany, "post_many": sqlPostMany, "delay_many": sqlDelayMany,
}
