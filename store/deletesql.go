package store

// How an id is fenced, in place of the batch of the claim that must hold the message.
const (
	fenceNone      = -1 // whoever holds it
	fenceUnclaimed = 0  // nobody may hold it
)

// deleteChooseSQL locks the messages to be deleted: queue $1[k], number s, and b is a fence or the batch of the claim
// that must hold it. Each queue's counter row and observation are read once, not once for every id. Rows that
// somebody else has locked are left out, so a delete never waits and takes no part in a deadlock.
const deleteChooseSQL = `
WITH qs AS MATERIALIZED (
	SELECT array_agg(c.purged_upto ORDER BY u.k) AS purged,
		array_agg(EXISTS (SELECT FROM queue_watch w WHERE w.queue_id = u.id AND w.observed_until > now())
			ORDER BY u.k) AS watched
	FROM unnest($1::bigint[]) WITH ORDINALITY AS u(id, k) LEFT JOIN queue_seq c ON c.id = u.id
), locked AS MATERIALIZED (
	SELECT m.ctid AS t, ((SELECT watched FROM qs))[u.k] AS watched
	FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS u(k, s, b)
	JOIN message m ON m.queue_id = ($1::bigint[])[u.k] AND m.seq = u.s
	WHERE m.seq > ((SELECT purged FROM qs))[u.k] AND m.expires_at > now() AND m.claim_expires_at < 'infinity'
		AND (u.b = -1 OR u.b = 0 AND m.claim_expires_at <= now()
			OR u.b > 0 AND m.claim_batch = u.b AND m.claim_expires_at > now())
	FOR UPDATE OF m SKIP LOCKED
)`

// deleteSQL deletes, or buries where the queue is observed, counts by queue under slot $5, and returns the queues and
// numbers of what it has deleted.
const deleteSQL = deleteChooseSQL + `, deleted AS (
	DELETE FROM message WHERE ctid = ANY (ARRAY (SELECT t FROM locked WHERE NOT watched)) RETURNING queue_id, seq
), buried AS (
	UPDATE message SET claim_expires_at = 'infinity', claimed_at = now()
	WHERE ctid = ANY (ARRAY (SELECT t FROM locked WHERE watched)) RETURNING queue_id, seq
), gone AS (
	SELECT queue_id, seq FROM deleted UNION ALL SELECT queue_id, seq FROM buried
), counted AS (
	INSERT INTO queue_count (queue_id, epoch, slot, removed)
	SELECT c.id, c.purge_epoch, $5, g.n
	FROM (SELECT queue_id, count(*) AS n FROM gone GROUP BY queue_id) g JOIN queue_seq c ON c.id = g.queue_id
	ORDER BY c.id
	ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET removed = queue_count.removed + EXCLUDED.removed
)
SELECT array_agg(queue_id), array_agg(seq) FROM gone`

// diagnoseSQL says which messages are still there, and who holds them (0: nobody). Queue $1[k], number s.
const diagnoseSQL = `
SELECT u.o::int, CASE WHEN m.claim_expires_at > now() THEN m.claim_batch ELSE 0 END
FROM unnest($2::int[], $3::bigint[]) WITH ORDINALITY AS u(k, s, o)
JOIN message m ON m.queue_id = ($1::bigint[])[u.k] AND m.seq = u.s
WHERE m.seq > (SELECT c.purged_upto FROM queue_seq c WHERE c.id = ($1::bigint[])[u.k])
	AND m.expires_at > now() AND m.claim_expires_at < 'infinity'`

// claimLivesSQL says whether a claim holds anything: queue $1, range [$2, $3], batch $4.
const claimLivesSQL = `SELECT EXISTS (SELECT FROM message m WHERE ` + liveClaimSQL + `)`

// liveDelayedSQL is the condition under which a row i of the inbox is a message of queue $1: the queue is there, and the
// row came after its last purge.
const liveDelayedSQL = `i.queue_id = $1 AND i.id > (SELECT inbox_purged_upto FROM queue_seq WHERE id = $1)`

// Messages in the inbox. A promotion moves a row from inbox to promoted in one transaction, so an id that is not in
// inbox, looked up first, and not in promoted, looked up after that, is gone. A delete counts in slot $3; a purge that
// comes meanwhile voids both the row and the count.
const (
	inboxDeleteSQL = `
WITH gone AS (
	DELETE FROM inbox WHERE ctid = ANY (ARRAY (
		SELECT i.ctid FROM inbox i WHERE ` + liveDelayedSQL + ` AND i.id = ANY ($2::bigint[]) FOR UPDATE SKIP LOCKED))
	RETURNING id
), counted AS (
	INSERT INTO queue_count (queue_id, epoch, slot, delayed)
	SELECT c.id, c.purge_epoch, $3, -n.n FROM queue_seq c, (SELECT count(*) AS n FROM gone) n WHERE c.id = $1 AND n.n > 0
	ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET delayed = queue_count.delayed + EXCLUDED.delayed
)
SELECT id FROM gone`
	inboxLeftSQL = `SELECT i.id FROM inbox i WHERE ` + liveDelayedSQL + ` AND i.id = ANY ($2::bigint[])`
	promotedSQL  = `SELECT inbox_id, seq FROM promoted WHERE queue_id = $1 AND inbox_id = ANY ($2::bigint[])`
)
