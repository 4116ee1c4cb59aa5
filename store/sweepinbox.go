package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sqlPurgedInboxes returns those of queues $1 that have purged rows in the inbox.
const sqlPurgedInboxes = `
SELECT c.id FROM queue_seq c WHERE c.id = ANY($1::int8[]) AND c.inbox_purged_upto > 0
    AND EXISTS (SELECT FROM inbox i WHERE i.queue_id = c.id AND i.id <= c.inbox_purged_upto)`

// sqlReapPurgedInbox removes up to $3 purged inbox rows of queue $1 with ids after $2, which nobody counts any more, and
// returns how many and the last one. The start saves it from passing over those that it has removed before.
const sqlReapPurgedInbox = `
WITH gone AS (
    DELETE FROM inbox WHERE ctid = ANY(ARRAY(
        SELECT i.ctid FROM inbox i WHERE i.queue_id = $1 AND i.id > $2
            AND i.id <= (SELECT inbox_purged_upto FROM queue_seq WHERE id = $1)
        ORDER BY i.id LIMIT $3 FOR UPDATE SKIP LOCKED))
    RETURNING id
)
SELECT count(*), coalesce(max(id), 0) FROM gone`

// purgedInboxes removes what purges left in the inbox.
func (w *sweeper) purgedInboxes(ctx context.Context, ids []int64) (more bool, err error) {
	rows, err := w.s.pool.Query(ctx, sqlPurgedInboxes, ids)
	if err != nil {
		return false, fmt.Errorf("look for purged inboxes: %w", w.s.classify(err))
	}
	purged, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return false, fmt.Errorf("look for purged inboxes: %w", w.s.classify(err))
	}
	for _, id := range purged {
		left, err := w.reapInbox(ctx, id)
		if err != nil {
			return false, fmt.Errorf("reap the inbox of queue %d: %w", id, w.s.classify(err))
		}
		more = more || left
	}
	return more, nil
}

// reapInbox removes the purged inbox rows of one queue, up to a bound.
func (w *sweeper) reapInbox(ctx context.Context, id int64) (more bool, err error) {
	var after int64
	for range sweepBurst {
		if err := w.holds(ctx); err != nil {
			return false, err
		}
		var n int
		if err := w.s.pool.QueryRow(ctx, sqlReapPurgedInbox, id, after, w.s.cfg.SweepRows).Scan(&n, &after); err != nil {
			return false, err
		}
		if n < w.s.cfg.SweepRows {
			return false, nil
		}
	}
	return true, nil
}
