package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Placement says where queues are, for a store that is one of several pools. Its methods may be called concurrently.
type Placement interface {
	// Place says where a queue is. One that is missing gets a place with create: it is chosen by metadata, noted in the
	// catalogue, and the queue made there, unless it is the default pool, whose store makes the queue itself. Errors:
	// protocol.ErrNoQueue (only without create), ErrNoFlavor, ErrNoRoom, ErrUnavailable, ErrOutcomeUnknown.
	Place(ctx context.Context, key protocol.QueueKey, metadata []byte, create bool) (Placed, error)
	// Keep comes before a queue whose place is Tentative is made. It returns protocol.ErrNoQueue if its place was taken
	// back.
	Keep(ctx context.Context, id int64) error
	// Hint says that there is a pool with that id or, with 0, that the pools may have changed. It must not block.
	Hint(pool int64)
	// Follow takes over an operation whose queue is elsewhere, a *protocol.Post, *protocol.ClaimOp or *protocol.DeleteOp
	// with its Err set, and returns true; or false, and the operation's Waiter is told of the error. It must not block.
	Follow(op any) bool
}

// Placed says where a queue is.
type Placed struct {
	// Pool is the pool's id, 0 the default pool.
	Pool int64
	// Several says that there are other pools: the store of the default pool, which has yet to make the queue, makes sure
	// that nothing has tied it to another one meanwhile.
	Several bool
	// ID is the queue's id. It is 0 where the store of the default pool has yet to make the queue.
	ID int64
	// Metadata are those with which the queue is to be made in its pool, if it is not there yet.
	Metadata []byte
	// New says that this very call has given the queue its place and made it there.
	New bool
	// Tentative says that the place may be taken back: see Placement.Keep.
	Tentative bool
}

// ElsewhereError says that a queue is in another pool than the one whose store was asked; nothing was done. To callers
// that do not know it, it is protocol.ErrUnavailable.
type ElsewhereError struct{ Placed }

// Error names the pool.
func (e *ElsewhereError) Error() string { return fmt.Sprintf("queue %d is in pool %d", e.ID, e.Pool) }

// Unwrap returns protocol.ErrUnavailable.
func (e *ElsewhereError) Unwrap() error { return protocol.ErrUnavailable }

// elsewhere says whether an error is an ElsewhereError.
func elsewhere(err error) bool {
	_, ok := errors.AsType[*ElsewhereError](err)
	return ok
}

// follow hands an operation that has ended to Placement if its queue is elsewhere. It says whether it was taken over.
func (s *Store) follow(op any, err error) bool {
	return err != nil && s.placement != nil && elsewhere(err) && s.placement.Follow(op)
}

// SetPlacement sets who says where queues are; without it all are here. Call it before Start.
func (s *Store) SetPlacement(p Placement) { s.placement = p }

// onQueue runs a transaction on a queue by its name. One that returns protocol.ErrNoQueue found none: if the queue was
// placed here and is made only now, or others have just made it, the transaction is run again. Errors beside the
// transaction's own: protocol.ErrNoQueue, an ElsewhereError.
func (s *Store) onQueue(ctx context.Context, key protocol.QueueKey, do func(pgx.Tx) error) error {
	// Others would have to delete the queue and make it again each time.
	for range 10 {
		err := s.inTx(ctx, do)
		if !errors.Is(err, protocol.ErrNoQueue) {
			return err
		}
		if _, err := s.lookUp(ctx, key, false); err != nil {
			return err
		}
	}
	return comesAndGoes(key)
}

// A queue that the catalogue has placed here is made under the catalogue's id. Its row of placed_queue, which is
// written first, lets either the making or the dropping go ahead. A queue of an earlier id under that name should be
// gone; if this database is older than the catalogue (it was restored), it may be here, and makes room.
const (
	sqlAdoptMark = `
INSERT INTO placed_queue (queue_id) VALUES ($1)
ON CONFLICT (queue_id) DO UPDATE SET queue_id = EXCLUDED.queue_id WHERE placed_queue.dropped_at IS NULL
RETURNING queue_id`
	sqlAdoptOlder = `DELETE FROM queue WHERE project = $1 AND name = $2 AND id < $3 RETURNING id`
	sqlAdopt      = `
WITH made AS (
    INSERT INTO queue (id, project, name, metadata, dead_letter) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING RETURNING id
), watched AS (
    INSERT INTO queue_watch (queue_id, observed_until)
    SELECT made.id, GREATEST(now() + $6 * interval '1 ms', (SELECT max(s.expires_at) FROM subscription s
        WHERE s.project = $2 AND s.queue_name = $3 AND s.gateway_id IS NULL)) FROM made
    WHERE EXISTS (SELECT FROM subscription s WHERE s.project = $2 AND s.queue_name = $3 AND ` + liveSubscriptionSQL + `)
)
INSERT INTO queue_seq (id) SELECT id FROM made RETURNING id`
)

// Adopt makes a queue under an id that the catalogue has given it, unless it is there already or was dropped before
// (made is then false). It is for Placement and for health checks, whose queues have ids that no catalogue gives.
func (s *Store) Adopt(ctx context.Context, key protocol.QueueKey, id int64, metadata []byte) (made bool, err error) {
	info := newQueueInfo(id, key, metadata, s.cfg.DefaultMessageTTL)
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sqlAdoptMark, id).Scan(nil)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // dropped
		}
		if err != nil {
			return err
		}
		var older int64
		switch err := tx.QueryRow(ctx, sqlAdoptOlder, key.Project, key.Name, id).Scan(&older); {
		case err == nil:
			if err := dropParts(ctx, tx, older); err != nil {
				return err
			}
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		err = tx.QueryRow(ctx, sqlAdopt, id, key.Project, key.Name, metadata, info.deadLetters(),
			s.cfg.ObserveFor.Milliseconds()).Scan(nil)
		made = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // there already
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("adopt queue: %w", err)
	}
	if made {
		s.cache.forget(key)
		s.observer.QueueChanged(key, id)
	}
	return made, nil
}

// dropParts ends a queue whose row is deleted already.
func dropParts(ctx context.Context, tx pgx.Tx, id int64) error {
	if _, err := tx.Exec(ctx, sqlDropCounter, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sqlDropLater, id)
	return err
}

const (
	sqlDropMark = `
INSERT INTO placed_queue (queue_id, dropped_at) VALUES ($1, now())
ON CONFLICT (queue_id) DO UPDATE SET dropped_at = COALESCE(placed_queue.dropped_at, EXCLUDED.dropped_at)`
	sqlDropID = `DELETE FROM queue WHERE id = $1`
	// sqlSubscribedFor is for how many seconds there will be subscriptions to a name, 0 if there are none.
	sqlSubscribedFor = `
SELECT COALESCE(ceil(extract(epoch FROM max(s.expires_at) - now())), 0)::int8 FROM subscription s
WHERE s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL
)

// Drop ends a queue that the catalogue has placed here, by its id, whether it was made or not; it will never be made
// again. It may be repeated. It returns for how many seconds there will be subscriptions to its name.
func (s *Store) Drop(ctx context.Context, key protocol.QueueKey, id int64) (subscribed int64, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlDropMark, id); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sqlDropID, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			if err := dropParts(ctx, tx, id); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, sqlSubscribedFor, key.Project, key.Name).Scan(&subscribed)
	})
	s.cache.forget(key)
	if err != nil {
		return 0, fmt.Errorf("drop queue: %w", err)
	}
	s.observer.QueueChanged(key, id)
	return subscribed, nil
}

// The ids of dropped queues are kept for longer than any gateway could be late.
const sqlForgetDropped = `
DELETE FROM placed_queue WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM placed_queue WHERE dropped_at < now() - interval '1 day' ORDER BY dropped_at LIMIT $1))`

// ForgetDropped removes what is kept of up to limit queues that were dropped more than a day ago.
func (s *Store) ForgetDropped(ctx context.Context, limit int) error {
	if _, err := s.pool.Exec(ctx, sqlForgetDropped, limit); err != nil {
		return fmt.Errorf("forget dropped queues: %w", s.classifyWrite(err))
	}
	return nil
}

const sqlMetadata = `SELECT id, metadata FROM queue WHERE id = ANY ($1::int8[])`

// Metadata returns the metadata of queues by their ids; those that are not here are left out.
func (s *Store) Metadata(ctx context.Context, ids []int64) (map[int64][]byte, error) {
	rows, err := s.pool.Query(ctx, sqlMetadata, ids)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", s.classify(err))
	}
	found := make(map[int64][]byte, len(ids))
	var id int64
	var metadata []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &metadata}, func() error {
		found[id] = append([]byte(nil), metadata...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", s.classify(err))
	}
	return found, nil
}
