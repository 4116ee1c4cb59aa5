package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sweepPage is how many queues are looked at together.
const sweepPage = 500

// sweepBurst bounds the statements that one queue gets in one pass over the heads, so that a large purge does not keep
// the others waiting.
const sweepBurst = 50

const sqlSweepPage = `SELECT id FROM queue_seq WHERE id > $1 ORDER BY id LIMIT $2`

// eachPage calls do with the ids of the queues that a statement like sqlSweepPage lists, a page at a time.
func (w *sweeper) eachPage(ctx context.Context, sql string, do func(context.Context, []int64) error) error {
	var after int64
	for {
		if err := w.holds(ctx); err != nil {
			return err
		}
		rows, err := w.s.pool.Query(ctx, sql, after, sweepPage)
		if err != nil {
			return fmt.Errorf("list queues: %w", w.s.classify(err))
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("list queues: %w", w.s.classify(err))
		}
		if len(ids) == 0 {
			return nil
		}
		if err := do(ctx, ids); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// sqlDead says whether message m of a queue with counter c is over: purged, expired, or consumed longer ago than the
// horizon, $3 in ms, for which sockets' subscribers may still read it. Durable subscribers take their time: what they have
// yet to get, beyond c.floor, stays until it expires.
const sqlDead = `(m.seq <= c.purged_upto OR CASE WHEN m.claim_expires_at = 'infinity'
        THEN m.claimed_at <= now() - $3::int8 * interval '1 ms' AND (m.expires_at <= now() OR m.seq <= coalesce(c.floor, m.seq))
        ELSE m.expires_at <= now() END)`

// sqlFloor is the number up to which the durable subscriptions to queue n have got everything, null without any. Those
// that have not noticed yet that their queue was deleted and made again have got nothing of it.
const sqlFloor = `(
        SELECT min(CASE WHEN d.queue_id = n.id THEN d.cursor ELSE 0 END)
        FROM queue q JOIN subscription s ON s.project = q.project AND s.queue_name = q.name AND s.gateway_id IS NULL
            AND s.expires_at > now() JOIN delivery d ON d.subscription_id = s.id
        WHERE q.id = n.id)`

// sqlSweepLook looks at the first row of each of queues $1, from numbers $2 on. The floor is worked out for a tombstone
// only.
const sqlSweepLook = `
SELECT x.id, h.seq, h.dead FROM unnest($1::int8[], $2::int8[]) AS x(id, start)
CROSS JOIN LATERAL (
    SELECT m.seq, ` + sqlDead + ` AS dead
    FROM (SELECT n.id, n.purged_upto, ` + sqlFloor + ` AS floor FROM queue_seq n) c, message m
    WHERE c.id = x.id AND m.queue_id = x.id AND m.seq >= x.start ORDER BY m.seq LIMIT 1
) h`

// headsOfQueues sweeps the queues whose first row is over. With TTLs alike, that finds all there is.
func (w *sweeper) headsOfQueues(ctx context.Context) (more bool, err error) {
	if len(w.heads) > w.s.cfg.QueueCacheSize {
		clear(w.heads)
	}
	err = w.eachPage(ctx, sqlSweepPage, func(ctx context.Context, ids []int64) error {
		dead, err := w.look(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range dead {
			left, err := w.sweepQueue(ctx, id, true)
			if err != nil {
				return err
			}
			more = more || left
		}
		left, err := w.purgedInboxes(ctx, ids)
		more = more || left
		return err
	})
	return more, err
}

// look returns those of the queues whose first row is over.
func (w *sweeper) look(ctx context.Context, ids []int64) (dead []int64, err error) {
	from := make([]int64, len(ids))
	for i, id := range ids {
		from[i] = w.heads[id]
	}
	rows, err := w.s.pool.Query(ctx, sqlSweepLook, ids, from, w.s.cfg.TombstoneHorizon.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("look at queues: %w", w.s.classify(err))
	}
	defer rows.Close()
	for rows.Next() {
		var id, seq int64
		var over bool
		if err := rows.Scan(&id, &seq, &over); err != nil {
			return nil, fmt.Errorf("look at queues: %w", err)
		}
		w.heads[id] = seq
		if over {
			dead = append(dead, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look at queues: %w", w.s.classify(err))
	}
	return dead, nil
}

// sqlSweep looks at $4 rows of queue $1 from number $2 on and removes those that are over. What was not counted as
// gone before, by a purge or when it became a tombstone, is counted in slot $5, in the epoch of the same snapshot.
// It returns how many rows it saw, the last one's number, and how many it removed.
const sqlSweep = `
WITH c AS MATERIALIZED (
    SELECT n.purged_upto, n.purge_epoch, ` + sqlFloor + ` AS floor FROM queue_seq n WHERE n.id = $1
), chunk AS MATERIALIZED (
    SELECT m.ctid AS t, m.seq, ` + sqlDead + ` AS dead
    FROM c, message m WHERE m.queue_id = $1 AND m.seq >= $2 ORDER BY m.seq LIMIT $4
), locked AS MATERIALIZED (
    SELECT m.ctid AS t FROM c, message m WHERE m.ctid = ANY(ARRAY(SELECT t FROM chunk WHERE dead)) AND ` + sqlDead + `
    FOR UPDATE OF m SKIP LOCKED
), gone AS (
    DELETE FROM message WHERE ctid = ANY(ARRAY(SELECT t FROM locked))
    RETURNING seq, claim_expires_at = 'infinity' AS buried, expires_at <= now() AS expired
), counted AS (
    INSERT INTO queue_count (queue_id, epoch, slot, removed, expired_upto)
    SELECT $1, c.purge_epoch, $5, count(*) FILTER (WHERE g.seq > c.purged_upto AND NOT g.buried),
        coalesce(max(g.seq) FILTER (WHERE g.expired AND NOT g.buried), 0)
    FROM c, gone g GROUP BY c.purge_epoch
    ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET removed = queue_count.removed + EXCLUDED.removed,
        expired_upto = GREATEST(queue_count.expired_upto, EXCLUDED.expired_upto)
)
SELECT (SELECT count(*) FROM chunk), (SELECT coalesce(max(seq), 0) FROM chunk), (SELECT count(*) FROM gone)
FROM c`

// sweepQueue sweeps a queue from its head: up to the first rows that all stay, or all of it. It says whether it
// stopped for having done enough.
func (w *sweeper) sweepQueue(ctx context.Context, id int64, headOnly bool) (more bool, err error) {
	from := w.heads[id]
	for burst := 1; ; burst++ {
		if err := w.holds(ctx); err != nil {
			return false, err
		}
		var seen, last, gone int64
		err := w.s.pool.QueryRow(ctx, sqlSweep, id, from, w.s.cfg.TombstoneHorizon.Milliseconds(), w.s.cfg.SweepRows,
			w.s.writer(writerSweep)).Scan(&seen, &last, &gone)
		if errors.Is(err, pgx.ErrNoRows) {
			delete(w.heads, id)
			return false, nil // deleted meanwhile
		}
		if err != nil {
			return false, fmt.Errorf("sweep queue %d: %w", id, w.s.classify(err))
		}
		from = last + 1
		switch {
		case seen < int64(w.s.cfg.SweepRows), headOnly && gone == 0:
			return false, nil
		case headOnly && burst == sweepBurst:
			return true, nil
		}
	}
}

// wholeQueues looks at every message of queues, for those that expire before the ones ahead of them; and tidies what
// was counted of them.
func (w *sweeper) wholeQueues(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		if _, err := w.sweepQueue(ctx, id, false); err != nil {
			return err
		}
	}
	if _, err := w.s.pool.Exec(ctx, sqlFoldCounts, ids, w.s.writer(writerSweep), writersPerSlot); err != nil {
		return fmt.Errorf("fold counts: %w", w.s.classify(err))
	}
	return nil
}

// sqlFoldCounts removes what was counted in older epochs of queues $1, and adds what dead gateways counted to slot $2;
// a slot's number is $3 times that of its gateway, plus that of the writer.
const sqlFoldCounts = `
WITH void AS MATERIALIZED (
    SELECT n.ctid AS t FROM queue_seq c JOIN queue_count n ON n.queue_id = c.id
    WHERE c.id = ANY($1::int8[])
        AND (n.epoch < c.purge_epoch OR NOT EXISTS (SELECT FROM gateway g WHERE g.slot = n.slot / $3::int8))
    FOR UPDATE OF n SKIP LOCKED
), gone AS (
    DELETE FROM queue_count WHERE ctid = ANY(ARRAY(SELECT t FROM void))
    RETURNING queue_id, epoch, removed, delayed, claimed_upto, expired_upto
)
INSERT INTO queue_count (queue_id, epoch, slot, removed, delayed, claimed_upto, expired_upto)
SELECT g.queue_id, g.epoch, $2, sum(g.removed), sum(g.delayed), max(g.claimed_upto), max(g.expired_upto)
FROM gone g JOIN queue_seq c ON c.id = g.queue_id AND c.purge_epoch = g.epoch GROUP BY g.queue_id, g.epoch
ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET removed = queue_count.removed + EXCLUDED.removed,
    delayed = queue_count.delayed + EXCLUDED.delayed, claimed_upto = GREATEST(queue_count.claimed_upto, EXCLUDED.claimed_upto),
    expired_upto = GREATEST(queue_count.expired_upto, EXCLUDED.expired_upto)`
