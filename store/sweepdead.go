package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Workers move dead letters as they come across them; those of queues whose workers are gone are moved here.

// sqlDeadLetterPage lists queues that have a dead-letter queue.
const sqlDeadLetterPage = `SELECT id FROM queue WHERE dead_letter AND id > $1 ORDER BY id LIMIT $2`

// sqlClaimedRanges returns those of queues $1 that have messages in the range of numbers ever claimed, and that range,
// the lower bound exclusive. Each is looked at from number $2 on.
const sqlClaimedRanges = `
SELECT q.id, q.project, q.name, q.metadata, h.seq - 1, u.upto
FROM unnest($1::int8[], $2::int8[]) AS x(id, start)
CROSS JOIN LATERAL (SELECT q.* FROM queue q WHERE q.id = x.id) q
CROSS JOIN LATERAL (SELECT c.* FROM queue_seq c WHERE c.id = x.id) c
CROSS JOIN LATERAL (
    SELECT max(n.claimed_upto) AS upto FROM queue_count n WHERE n.queue_id = x.id AND n.epoch = c.purge_epoch
) u
CROSS JOIN LATERAL (
    SELECT m.seq FROM message m WHERE m.queue_id = x.id AND m.seq >= GREATEST(x.start, c.purged_upto + 1)
    ORDER BY m.seq LIMIT 1
) h
WHERE h.seq <= u.upto`

// claimedQueue is a queue with the range (from, upto] outside of which no message was ever claimed.
type claimedQueue struct {
	info       *queueInfo
	from, upto int64
}

// deadLetters moves the dead letters of all queues.
func (w *sweeper) deadLetters(ctx context.Context) (more bool, err error) {
	err = w.eachPage(ctx, sqlDeadLetterPage, func(ctx context.Context, ids []int64) error {
		queues, err := w.claimedRanges(ctx, ids)
		if err != nil {
			return fmt.Errorf("look for dead letters: %w", err)
		}
		for _, q := range queues {
			if !q.info.deadLetters() {
				continue // its metadata were changed by somebody who left the mark
			}
			if err := w.holds(ctx); err != nil {
				return err
			}
			_, left, err := w.s.buryAll(ctx, q)
			if errors.Is(err, protocol.ErrUnavailable) && !elsewhere(err) || ctx.Err() != nil {
				return err
			}
			if err != nil { // the other queues must not wait for one whose dead-letter queue cannot be
				w.s.log.Warn().Err(err).Int64("queue_id", q.info.id).Msg("dead letters not moved")
			}
			more = more || left
		}
		return nil
	})
	return more, err
}

func (w *sweeper) claimedRanges(ctx context.Context, ids []int64) ([]claimedQueue, error) {
	from := make([]int64, len(ids))
	for i, id := range ids {
		from[i] = w.heads[id]
	}
	rows, err := w.s.pool.Query(ctx, sqlClaimedRanges, ids, from)
	if err != nil {
		return nil, w.s.classify(err)
	}
	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q claimedQueue, err error) {
		var id int64
		var key protocol.QueueKey
		var metadata []byte
		err = row.Scan(&id, &key.Project, &key.Name, &metadata, &q.from, &q.upto)
		q.info = newQueueInfo(id, key, metadata, w.s.cfg.DefaultMessageTTL)
		return q, err
	})
	return queues, w.s.classify(err)
}
