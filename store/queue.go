package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// CreateQueue makes a queue with metadata, a JSON object that the caller has checked; nil means {}. An existing queue
// stays as it is (created is then false), as on Zaqar. It returns protocol.ErrNoFlavor when the metadata name a flavor that
// does not exist.
func (s *Store) CreateQueue(ctx context.Context, key protocol.QueueKey, metadata []byte) (created bool, err error) {
	if metadata == nil {
		metadata = []byte("{}")
	}
	// A cached queue may be gone already; the database is what decides.
	for range 10 {
		if s.cfg.PoolID != 0 { // its place is known where it is, also while the catalogue is away
			if _, _, err := s.readQueue(ctx, key); !errors.Is(err, protocol.ErrNoQueue) {
				return false, err
			}
		}
		info, fresh, err := s.makeQueue(ctx, key, metadata, true)
		if err != nil {
			return false, err
		}
		if info != nil {
			s.cache.forget(key)
			return fresh, nil
		}
		if _, _, err = s.readQueue(ctx, key); !errors.Is(err, protocol.ErrNoQueue) {
			return false, err
		}
	}
	return false, fmt.Errorf("create queue: %w: queue %q comes and goes", protocol.ErrUnavailable, key.Name)
}

// Queue returns a queue, or protocol.ErrNoQueue.
func (s *Store) Queue(ctx context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	// Not from the cache: who changed a queue through another gateway expects to see it.
	info, metadata, err := s.readQueue(ctx, key)
	if errors.Is(err, protocol.ErrNoQueue) && s.cfg.PoolID != 0 {
		if _, err = s.lookUp(ctx, key, false); err == nil { // the catalogue knew better
			info, metadata, err = s.readQueue(ctx, key)
		}
	}
	if err != nil {
		return nil, err
	}
	return &protocol.Queue{QueueKey: key, ID: info.id, Metadata: metadata}, nil
}

// Dropping the counter row is what ends a queue: every write to it checks that row. Nothing else is touched, however
// many messages there are; the sweeper reaps them. The name is free again at once, under a new id.
const (
	sqlDropName    = `DELETE FROM queue WHERE project = $1 AND name = $2 AND pool_id IS NULL RETURNING id`
	sqlDropCounter = `DELETE FROM queue_seq WHERE id = $1`
	sqlDropLater   = `INSERT INTO dropped_queue (queue_id) VALUES ($1) ON CONFLICT DO NOTHING`
	// sqlHomeHere notes that the subscriptions to a deleted queue are here.
	sqlHomeHere = `
INSERT INTO queue_home (project, name, expires_at)
SELECT $1, $2, max(s.expires_at) FROM subscription s
WHERE s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + ` HAVING max(s.expires_at) IS NOT NULL
ON CONFLICT (project, name) DO UPDATE SET pool_id = NULL, expires_at = EXCLUDED.expires_at`
)

// DeleteQueue ends a queue with its messages and claims; its subscriptions stay, they belong to the name. It returns
// protocol.ErrNoQueue if there is none.
func (s *Store) DeleteQueue(ctx context.Context, key protocol.QueueKey) error {
	var id int64
	err := s.onQueue(ctx, key, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sqlDropName, key.Project, key.Name).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return protocol.ErrNoQueue
		}
		if err != nil {
			return err
		}
		if err := dropParts(ctx, tx, id); err != nil || s.placement == nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlHomeHere, key.Project, key.Name)
		return err
	})
	s.cache.forget(key)
	if err != nil {
		return fmt.Errorf("delete queue: %w", err)
	}
	s.observer.QueueChanged(key, id)
	return nil
}
