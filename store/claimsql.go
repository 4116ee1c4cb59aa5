package store

// A claim's statements. The subselect that locks is the only way rows are chosen: SKIP LOCKED, so a claim never
// waits for a row and cannot be part of a deadlock; ORDER BY the primary key, so it is a plain index scan. The lower
// bound comes out of the counter row, so that without it there is none, and nothing is chosen.

// claimEndSQL goes ahead of the claim in the same pipeline. Its snapshot is the older one, so every number up
// to last was visible to the claim. No row: the queue is gone.
const claimEndSQL = `SELECT next_seq - 1, purge_epoch FROM queue_seq WHERE id = $1`

// claimChooseSQL chooses and locks free messages of queue $1 with numbers in ($2, $3] that were claimed fewer
// than $4 times, at most $5 of them and $6 bytes of bodies, and deals them out in order: $7 holds the bounds of
// the waiting requests as width_bucket wants them, r is the index of the request that gets the message, and
// first and last are the range of its claim. Fewer rows come back than were locked when $6 cut them off.
const claimChooseSQL = `
WITH q AS MATERIALIZED (
	SELECT purged_upto, purge_epoch FROM queue_seq WHERE id = $1
), locked AS MATERIALIZED (
	SELECT m.ctid AS t, m.seq, octet_length(m.body) AS size
	FROM message m
	WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM q) AND m.seq <= $3
		AND m.claim_expires_at <= now() AND m.expires_at > now() AND m.claim_count < $4
	ORDER BY m.seq LIMIT $5::int FOR UPDATE SKIP LOCKED
), dealt AS (
	SELECT t, seq, width_bucket(n, $7::bigint[]) AS r
	FROM (SELECT t, seq, row_number() OVER up AS n, sum(size) OVER up AS total
		FROM locked WINDOW up AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)) x
	WHERE n = 1 OR total <= $6::bigint
), chosen AS MATERIALIZED (
	SELECT t, seq, r, first_value(seq) OVER one AS first, last_value(seq) OVER one AS last
	FROM dealt
	WINDOW one AS (PARTITION BY r ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)`

// claimSQL claims. $8 is the batch of the first request, $9 and $10 are the requests' TTLs and graces, $11 the
// counting slot, $12 the bound of claimed numbers as last written and $13 the epoch it was written in.
const claimSQL = claimChooseSQL + `, bound AS (
	INSERT INTO queue_count (queue_id, epoch, slot, claimed_upto)
	SELECT $1, q.purge_epoch, $11, c.top + $14::bigint
	FROM q, (SELECT max(seq) AS top FROM chosen) c
	WHERE c.top > $12::bigint OR (c.top IS NOT NULL AND q.purge_epoch <> $13::bigint)
	ON CONFLICT (queue_id, epoch, slot) DO UPDATE
		SET claimed_upto = GREATEST(queue_count.claimed_upto, EXCLUDED.claimed_upto)
)
UPDATE message m SET
	claim_batch = $8::bigint + c.r, claim_first = c.first, claim_last = c.last,
	claimed_at = now(), claim_count = m.claim_count + 1, claim_ttl = ($9::int[])[c.r + 1],
	claim_expires_at = now() + ($9::int[])[c.r + 1] * interval '1 s',
	expires_at = CASE WHEN m.expires_at < now() + ($9::int[])[c.r + 1] * interval '1 s'
		THEN now() + (($9::int[])[c.r + 1] + ($10::int[])[c.r + 1]) * interval '1 s' ELSE m.expires_at END,
	ttl = CASE WHEN m.expires_at < now() + ($9::int[])[c.r + 1] * interval '1 s'
		THEN ($9::int[])[c.r + 1] + ($10::int[])[c.r + 1] ELSE m.ttl END
FROM chosen c WHERE m.ctid = c.t
RETURNING c.r, c.first, c.last, (SELECT count(*) FROM locked), ` + messageColumns

// popSQL claims and deletes at once: no claim is left behind whatever happens. In an observed queue the
// messages become tombstones. $8 is the counting slot.
const popSQL = claimChooseSQL + `, watched AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM queue_watch WHERE queue_id = $1 AND observed_until > now()) AS yes
), deleted AS (
	DELETE FROM message m USING chosen c
	WHERE m.ctid = c.t AND NOT (SELECT yes FROM watched)
	RETURNING c.r, c.first, c.last, (SELECT count(*) FROM locked), ` + messageColumns + `
), buried AS (
	UPDATE message m SET claim_expires_at = 'infinity', claimed_at = now() FROM chosen c
	WHERE m.ctid = c.t AND (SELECT yes FROM watched)
	RETURNING c.r, c.first, c.last, (SELECT count(*) FROM locked), ` + messageColumns + `
), counted AS (
	INSERT INTO queue_count (queue_id, epoch, slot, removed)
	SELECT $1, q.purge_epoch, $8, gone.n
	FROM q, (SELECT (SELECT count(*) FROM deleted) + (SELECT count(*) FROM buried) AS n) gone
	WHERE gone.n > 0
	ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET removed = queue_count.removed + EXCLUDED.removed
)
SELECT * FROM deleted UNION ALL SELECT * FROM buried`

// surveySQL looks at what a search from the head passed over in ($2, $3]: the first number that may become
// claimable again, how many microseconds until the first claim there expires, and how many messages were
// claimed $4 times or more and are held no longer.
const surveySQL = `
SELECT min(m.seq),
	(extract(epoch FROM min(m.claim_expires_at) FILTER (WHERE m.claim_expires_at > now()) - now()) * 1000000)::bigint,
	count(*) FILTER (WHERE m.claim_expires_at <= now() AND m.claim_count >= $4)
FROM message m
WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM queue_seq WHERE id = $1)
	AND m.seq <= $3 AND m.expires_at > now() AND m.claim_expires_at < 'infinity'`

// giveBackSQL frees messages of claims [$4, $5] of queue $1, numbers $2 to $3, that nobody ever got: such a
// claim does not count.
const giveBackSQL = `
UPDATE message SET claim_expires_at = '-infinity', claim_count = GREATEST(claim_count - 1, 0)
WHERE ctid = ANY (ARRAY (
	SELECT ctid FROM message
	WHERE queue_id = $1 AND seq >= $2 AND seq <= $3 AND claim_batch >= $4 AND claim_batch <= $5
		AND claim_expires_at > now() AND claim_expires_at < 'infinity'
	ORDER BY seq FOR UPDATE SKIP LOCKED))
RETURNING seq`
