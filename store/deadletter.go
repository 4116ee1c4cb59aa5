package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nusku-messaging/nusku/protocol"
)

// deadLetters says whether messages that were claimed too often leave the queue. A queue that names itself has no
// dead-letter queue: its messages would go round for ever.
func (q *queueInfo) deadLetters() bool {
	return q.maxClaimCount > 0 && q.deadLetterQueue != "" && q.deadLetterQueue != q.key.Name
}

// claimLimit is how often a message of the queue may be claimed.
func (q *queueInfo) claimLimit() int32 {
	if q.deadLetters() {
		return q.maxClaimCount
	}
	return math.MaxInt32
}

// buryLockSQL takes the counter of the dead-letter queue before anything else, as everybody who numbers messages does.
const buryLockSQL = `SELECT id FROM queue_seq WHERE id = $1 FOR NO KEY UPDATE`

// burySQL moves messages of queue $1 with numbers in ($2, $3] that were claimed $4 times and that nobody holds, at
// most $5 of them, to the end of queue $6. They live $7 seconds there or, if it is 0, as long as they would have. $8 is
// the counting slot, $9 the queue's name.
const burySQL = `
WITH q AS MATERIALIZED (
	SELECT purged_upto, purge_epoch FROM queue_seq WHERE id = $1
), target AS MATERIALIZED (
	SELECT next_seq FROM queue_seq WHERE id = $6
), watched AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM queue_watch WHERE queue_id = $1 AND observed_until > now()) AS yes
), locked AS MATERIALIZED (
	SELECT m.ctid AS t FROM message m
	WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM q) AND m.seq <= $3
		AND m.claim_expires_at <= now() AND m.expires_at > now() AND m.claim_count >= $4
		AND (SELECT next_seq FROM target) > 0
	ORDER BY m.seq LIMIT $5::int FOR UPDATE SKIP LOCKED
), deleted AS (
	DELETE FROM message m USING locked l WHERE m.ctid = l.t AND NOT (SELECT yes FROM watched)
	RETURNING m.seq, m.inbox_id, m.expires_at, m.client_id, m.claim_count, m.codec, m.body
), tombstones AS (
	UPDATE message m SET claim_expires_at = 'infinity', claimed_at = now()
	FROM locked l WHERE m.ctid = l.t AND (SELECT yes FROM watched)
	RETURNING m.seq, m.inbox_id, m.expires_at, m.client_id, m.claim_count, m.codec, m.body
), gone AS (
	SELECT *, row_number() OVER (ORDER BY seq) - 1 AS n
	FROM (SELECT * FROM deleted UNION ALL SELECT * FROM tombstones) x
), counted AS (
	INSERT INTO queue_count (queue_id, epoch, slot, removed)
	SELECT $1, q.purge_epoch, $8, c.n FROM q, (SELECT count(*) AS n FROM gone) c WHERE c.n > 0
	ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET removed = queue_count.removed + EXCLUDED.removed
), numbered AS (
	UPDATE queue_seq SET next_seq = next_seq + (SELECT count(*) FROM gone)
	WHERE id = $6 AND EXISTS (SELECT FROM gone)
)
INSERT INTO message AS m (queue_id, seq, created_at, expires_at, ttl, client_id, codec, origin, body)
SELECT $6, target.next_seq + gone.n, now(),
	CASE WHEN $7::int > 0 THEN now() + $7::int * interval '1 s' ELSE gone.expires_at END,
	CASE WHEN $7::int > 0 THEN $7::int ELSE ceil(extract(epoch FROM gone.expires_at - now()))::int END,
	gone.client_id, gone.codec,
	convert_to(json_build_object(
		'queue_name', $9::text,
		'message_id', to_hex($1::bigint) || '-' ||
			CASE WHEN gone.inbox_id IS NULL THEN to_hex(gone.seq) ELSE 'i' || to_hex(gone.inbox_id) END,
		'claim_count', gone.claim_count,
		'dead_lettered_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::text, 'UTF8'),
	gone.body
FROM gone, target ORDER BY gone.seq
RETURNING m.seq, m.codec, m.ttl, m.body, m.origin`

// buryRows is how many messages one transaction moves.
const buryRows = 200

// buryMost is how many messages one call of buryRange moves: who claims or releases must not wait for more, nor must
// the other queues that the sweeper looks after.
const buryMost = 25 * buryRows

// buryAll moves the messages of a queue that were claimed as often as they may be, and that nobody holds, to its
// dead-letter queue. It reads every claimed message of the queue, in slices. It returns how many it moved, and whether
// it stopped for having done enough.
func (s *Store) buryAll(ctx context.Context, q claimedQueue) (moved int, more bool, err error) {
	pos, slice := q.from, s.cfg.Claims.Slice
	for pos < q.upto {
		end, began := min(pos+slice, q.upto), time.Now()
		n, err := s.buryRange(ctx, q.info, pos, end)
		moved += n
		if err != nil || moved >= buryMost {
			return moved, err == nil, err
		}
		pos = end
		slice = nextSlice(slice, s.cfg.Claims.Slice, time.Since(began))
	}
	return moved, false, nil
}

// deadSQL says whether there is something to bury, without locking the dead-letter queue's counter for nothing.
const deadSQL = `
SELECT EXISTS (SELECT FROM message m
	WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM queue_seq WHERE id = $1)
		AND m.seq <= $3 AND m.claim_expires_at <= now() AND m.expires_at > now() AND m.claim_count >= $4)`

// buryRange moves the dead letters with numbers in (from, upto], up to buryMost of them.
func (s *Store) buryRange(ctx context.Context, info *queueInfo, from, upto int64) (moved int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Claims.Timeout)
	defer cancel()
	var dead bool
	if err := s.pool.QueryRow(ctx, deadSQL, info.id, from, upto, info.maxClaimCount).Scan(&dead); err != nil || !dead {
		return 0, s.classify(err)
	}
	for {
		n, err := s.buryOnce(ctx, info, from, upto)
		moved += n
		if err != nil || n < buryRows || moved >= buryMost {
			return moved, err
		}
	}
}

// buryOnce moves up to buryRows messages in one transaction and tells the observer.
func (s *Store) buryOnce(ctx context.Context, info *queueInfo, from, upto int64) (int, error) {
	target := protocol.QueueKey{Project: info.key.Project, Name: info.deadLetterQueue}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("move dead letters: %w: %w", protocol.ErrUnavailable, err)
	}
	defer conn.Release()
	// The dead-letter queue may have been deleted since it was looked up.
	for range 3 {
		to, err := s.resolve(ctx, target, true)
		if err != nil {
			return 0, fmt.Errorf("move dead letters: %w", err)
		}
		batch, err := s.bury(ctx, conn, info, to, from, upto)
		if errors.Is(err, pgx.ErrNoRows) {
			s.forgetQueue(target, to.id)
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("move dead letters: %w", s.classifyWrite(err))
		}
		if len(batch.Messages) > 0 {
			s.committed([]protocol.Committed{batch})
		}
		return len(batch.Messages), nil
	}
	return 0, fmt.Errorf("move dead letters: %w: dead-letter queue comes and goes", protocol.ErrUnavailable)
}

// bury runs the transaction. pgx.ErrNoRows: the dead-letter queue is gone, and nothing was moved.
func (s *Store) bury(ctx context.Context, conn *pgxpool.Conn, from, to *queueInfo, after, upto int64) (protocol.Committed, error) {
	out := protocol.Committed{Queue: to.key, QueueID: to.id}
	var b pgx.Batch
	var id int64
	b.Queue(buryLockSQL, to.id).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	b.Queue(burySQL, from.id, after, upto, from.maxClaimCount, int32(buryRows), to.id, from.deadLetterTTL,
		s.writer(writerDeadLetter), from.key.Name).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var seq int64
			var m protocol.NewMessage
			var origin []byte
			if err := rows.Scan(&seq, &m.Codec, &m.TTL, &m.Body, &origin); err != nil {
				return err
			}
			if out.First == 0 {
				out.First = seq
			}
			out.Messages = append(out.Messages, m)
			out.IDs = append(out.IDs, protocol.MessageID{Queue: to.id, N: seq})
			out.Origins = append(out.Origins, origin)
		}
		return rows.Err()
	})
	return out, conn.SendBatch(ctx, &b).Close()
}
