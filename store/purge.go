package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// A purge only moves the mark below which messages count as gone; the sweeper reaps them. The counter's lock orders
// it among the posts: what was committed before is purged, what comes after is not. The new epoch voids what was
// counted until now. Delayed messages have no number yet, so they are deleted.
const (
	sqlPurge = `
UPDATE queue_seq SET purged_upto = next_seq - 1, purge_epoch = purge_epoch + 1
WHERE id = (SELECT id FROM queue WHERE project = $1 AND name = $2) RETURNING id`
	sqlPurgeInbox         = `DELETE FROM inbox WHERE queue_id = $1`
	sqlPurgeSubscriptions = `DELETE FROM subscription WHERE project = $1 AND queue_name = $2`
)

// PurgeQueue deletes all messages of a queue, or all its subscriptions, or both. It takes the same short time however
// many messages there are, but for delayed ones. It returns protocol.ErrNoQueue if there is no such queue.
func (s *Store) PurgeQueue(ctx context.Context, key protocol.QueueKey, messages, subscriptions bool) error {
	if !messages && !subscriptions {
		return nil
	}
	var id int64
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		if id, err = s.purgeMessages(ctx, tx, key, messages); err != nil || !subscriptions {
			return err
		}
		_, err = tx.Exec(ctx, sqlPurgeSubscriptions, key.Project, key.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("purge queue: %w", err)
	}
	s.claimed.forget(id)
	s.observer.QueueChanged(key, id)
	return nil
}

// purgeMessages purges a queue if messages is set, and returns its id in any case.
func (s *Store) purgeMessages(ctx context.Context, tx pgx.Tx, key protocol.QueueKey, messages bool) (id int64, err error) {
	if !messages {
		err = tx.QueryRow(ctx, sqlQueueByName, key.Project, key.Name).Scan(&id, nil)
	} else {
		err = tx.QueryRow(ctx, sqlPurge, key.Project, key.Name).Scan(&id)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, protocol.ErrNoQueue
	}
	if err != nil || !messages {
		return id, err
	}
	_, err = tx.Exec(ctx, sqlPurgeInbox, id)
	return id, err
}
