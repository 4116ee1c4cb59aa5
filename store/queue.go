package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// CreateQueue makes a queue with metadata, a JSON object that the caller has checked; nil means {}. An existing queue
// stays as it is (created is then false), as on Zaqar.
func (s *Store) CreateQueue(ctx context.Context, key protocol.QueueKey, metadata []byte) (created bool, err error) {
	if metadata == nil {
		metadata = []byte("{}")
	}
	// A cached queue may be gone already; the insert is what decides.
	info, err := s.makeQueue(ctx, key, metadata)
	if err != nil {
		return false, err
	}
	if info != nil {
		s.cache.forget(key)
	}
	return info != nil, nil
}

// Queue returns a queue, or protocol.ErrNoQueue.
func (s *Store) Queue(ctx context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	// Not from the cache: who changed a queue through another gateway expects to see it.
	info, metadata, err := s.readQueue(ctx, key)
	if err != nil {
		return nil, err
	}
	return &protocol.Queue{QueueKey: key, ID: info.id, Metadata: metadata}, nil
}

const sqlQueues = `
SELECT id, name, metadata FROM queue WHERE project = $1 AND name > $2 ORDER BY name LIMIT $3`

// Queues returns up to limit queues of a project, by name, from after the name marker on.
func (s *Store) Queues(ctx context.Context, project, marker string, limit int) ([]protocol.Queue, error) {
	rows, err := s.pool.Query(ctx, sqlQueues, project, marker, limit)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", s.classify(err))
	}
	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (protocol.Queue, error) {
		q := protocol.Queue{QueueKey: protocol.QueueKey{Project: project}}
		err := row.Scan(&q.ID, &q.Name, &q.Metadata)
		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", s.classify(err))
	}
	return queues, nil
}

const sqlCountQueues = `SELECT count(*) FROM queue WHERE project = $1`

// CountQueues counts the queues of a project.
func (s *Store) CountQueues(ctx context.Context, project string) (count int64, err error) {
	if err := s.pool.QueryRow(ctx, sqlCountQueues, project).Scan(&count); err != nil {
		return 0, fmt.Errorf("count queues: %w", s.classify(err))
	}
	return count, nil
}

// Dropping the counter row is what ends a queue: every write to it checks that row. Nothing else is touched, however
// many messages there are; the sweeper reaps them. The name is free again at once, under a new id.
const (
	sqlDropName    = `DELETE FROM queue WHERE project = $1 AND name = $2 RETURNING id`
	sqlDropCounter = `DELETE FROM queue_seq WHERE id = $1`
	sqlDropLater   = `INSERT INTO dropped_queue (queue_id) VALUES ($1)`
)

// DeleteQueue ends a queue with its messages and claims; its subscriptions stay, they belong to the name. It returns
// protocol.ErrNoQueue if there is none.
func (s *Store) DeleteQueue(ctx context.Context, key protocol.QueueKey) error {
	var id int64
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sqlDropName, key.Project, key.Name).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return protocol.ErrNoQueue
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlDropCounter, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlDropLater, id)
		return err
	})
	s.cache.forget(key)
	if err != nil {
		return fmt.Errorf("delete queue: %w", err)
	}
	s.observer.QueueChanged(key, id)
	return nil
}
