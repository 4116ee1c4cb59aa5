package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// A purge only moves the marks below which messages count as gone; the sweeper reaps them. The counter's lock orders
// it among the posts: what was committed before is purged, what comes after is not. The new epoch voids what was
// counted until now.
//
// Delayed messages have no number yet, but an id that is higher than all that were given out before, over all queues.
// Those who put them into the inbox lock the counter first. So once the purge has that lock, the last id given out
// divides what is purged from what is not; it must be read by a statement after the one that waits for the lock.
const (
	sqlPurgeLock = `
SELECT c.id FROM queue_seq c WHERE c.id = (SELECT q.id FROM queue q WHERE q.project = $1 AND q.name = $2)
FOR NO KEY UPDATE`
	sqlPurgeLook = `SELECT id FROM queue WHERE project = $1 AND name = $2 AND pool_id IS NULL`
	sqlPurge     = `
UPDATE queue_seq SET purged_upto = next_seq - 1, purge_epoch = purge_epoch + 1,
    inbox_purged_upto = coalesce(pg_sequence_last_value('inbox_id_seq'::regclass), 0)
WHERE id = $1`
	// In the order of their ids, as everybody who takes several: so are the rows of delivery that go with them.
	sqlPurgeSubscriptions = `
DELETE FROM subscription WHERE id = ANY(ARRAY(
    SELECT id FROM subscription WHERE project = $1 AND queue_name = $2 ORDER BY id FOR UPDATE)) RETURNING gateway_id`
)

// PurgeQueue deletes all messages of a queue, or all its subscriptions, or both. It takes the same short time however
// many messages there are. It returns protocol.ErrNoQueue if there is no such queue.
func (s *Store) PurgeQueue(ctx context.Context, key protocol.QueueKey, messages, subscriptions bool) error {
	if !messages && !subscriptions {
		return nil
	}
	var id int64
	var gateways []*uuid.UUID // whose sockets the subscriptions were
	err := s.onQueue(ctx, key, func(tx pgx.Tx) error {
		var err error
		if id, err = s.purgeMessages(ctx, tx, key, messages); err != nil || !subscriptions {
			return err
		}
		gateways, err = s.purgeSubscriptions(ctx, tx, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("purge queue: %w", err)
	}
	s.claimed.forget(id)
	s.observer.QueueChanged(key, id)
	s.subscriptionsEnded(key, gateways)
	return nil
}

// purgeMessages purges a queue if messages is set, and returns its id in any case.
func (s *Store) purgeMessages(ctx context.Context, tx pgx.Tx, key protocol.QueueKey, messages bool) (id int64, err error) {
	if !messages {
		err = tx.QueryRow(ctx, sqlPurgeLook, key.Project, key.Name).Scan(&id)
	} else {
		err = tx.QueryRow(ctx, sqlPurgeLock, key.Project, key.Name).Scan(&id)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, protocol.ErrNoQueue
	}
	if err != nil || !messages {
		return id, err
	}
	_, err = tx.Exec(ctx, sqlPurge, id)
	return id, err
}

// purgeSubscriptions deletes all subscriptions to a queue and returns the gateways whose sockets' they were.
func (s *Store) purgeSubscriptions(ctx context.Context, tx pgx.Tx, key protocol.QueueKey) (gateways []*uuid.UUID, err error) {
	batch := &pgx.Batch{}
	batch.Queue(sqlPurgeSubscriptions, key.Project, key.Name).Query(func(rows pgx.Rows) (err error) {
		gateways, err = pgx.CollectRows(rows, pgx.RowTo[*uuid.UUID])
		return err
	})
	s.queueUnwatch(batch, key)
	err = tx.SendBatch(ctx, batch).Close()
	return gateways, err
}
