package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// The queue's row is locked from the reading to the commit, so that no other change comes between. flavor and
// dead_letter_queue are the catalogue's, which is why they stay empty outside the default pool.
const (
	sqlQueueLock   = `SELECT id, metadata FROM queue WHERE project = $1 AND name = $2 AND pool_id IS NULL FOR NO KEY UPDATE`
	sqlQueueUpdate = `
UPDATE queue SET metadata = $2, dead_letter = $3, flavor = $4, dead_letter_queue = $5, updated_at = now() WHERE id = $1`
)

// UpdateQueue replaces a queue's metadata by what update makes of them, and returns the queue as it is then. No other
// change comes between. An error of update is returned as it is and changes nothing. update may be called more than
// once; the queue is locked while it runs. Errors: protocol.ErrNoQueue; protocol.ErrNoFlavor when the new metadata name
// a flavor that does not exist; protocol.ErrDeadLetterPool when they name a dead-letter queue in another pool.
func (s *Store) UpdateQueue(ctx context.Context, key protocol.QueueKey, update func(metadata []byte) ([]byte, error)) (*protocol.Queue, error) {
	var queue *protocol.Queue
	var refusal error
	err := s.onQueue(ctx, key, func(tx pgx.Tx) error {
		id, metadata, err := s.lockQueue(ctx, tx, key)
		if err != nil {
			return err
		}
		if metadata, refusal = update(metadata); refusal != nil {
			return refusal
		}
		info := newQueueInfo(id, key, metadata, s.cfg.DefaultMessageTTL)
		queue = &protocol.Queue{QueueKey: key, ID: id, Metadata: metadata}
		if s.cfg.PoolID == 0 && s.placement != nil {
			if err := mayTie(ctx, tx, info, 0); err != nil {
				return err
			}
		}
		flavor, deadLetters := s.catalogued(info)
		_, err = tx.Exec(ctx, sqlQueueUpdate, id, metadata, info.deadLetters(), flavor, deadLetters)
		return unknownFlavor(err, info)
	})
	if refusal != nil {
		return nil, refusal
	}
	s.cache.forget(key)
	if err != nil {
		return nil, fmt.Errorf("update queue: %w", err)
	}
	s.observer.QueueChanged(key, queue.ID)
	return queue, nil
}

// lockQueue locks and reads a queue.
func (s *Store) lockQueue(ctx context.Context, tx pgx.Tx, key protocol.QueueKey) (id int64, metadata []byte, err error) {
	err = tx.QueryRow(ctx, sqlQueueLock, key.Project, key.Name).Scan(&id, &metadata)
	if errors.Is(err, pgx.ErrNoRows) {
		err = protocol.ErrNoQueue
	}
	return id, metadata, err
}

// catalogued returns what the catalogue repeats of a queue's metadata, nil where there is nothing, and outside of the
// catalogue.
func (s *Store) catalogued(info *queueInfo) (flavor, deadLetterQueue *string) {
	if s.cfg.PoolID != 0 {
		return nil, nil
	}
	return notEmpty(info.flavor), notEmpty(info.deadLetterQueue)
}

func notEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// unknownFlavor is protocol.ErrNoFlavor, naming it, if a statement failed because the queue's flavor does not exist.
func unknownFlavor(err error, info *queueInfo) error {
	if violates(err, "queue_flavor_fkey") {
		return noFlavor(info.flavor)
	}
	return err
}
