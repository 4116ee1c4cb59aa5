package pools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// at calls do with the store of the pool where a queue is, or is to be made. A store that says that the queue is elsewhere
// has done nothing, so do is called again there.
func (r *Router) at(ctx context.Context, key protocol.QueueKey, do func(pool int64, st *store.Store) error) error {
	pool := int64(0)
	if r.members.Load().only == nil {
		pool = r.routes.pool(key)
	}
	var err error
	for range maxHops {
		st, away := r.storeOf(ctx, pool)
		if errors.Is(away, protocol.ErrNoPool) && pool != 0 {
			// What was remembered is of a pool that was deleted.
			r.routes.forget(key, pool)
			pool, err = 0, fmt.Errorf("%w: %w", protocol.ErrUnavailable, away)
			continue
		}
		if away != nil {
			return away
		}
		err = do(pool, st)
		if pool != 0 && errors.Is(err, protocol.ErrUnavailable) {
			r.suspect(pool)
		}
		e, ok := errors.AsType[*store.ElsewhereError](err)
		if !ok {
			return err
		}
		pool = e.Pool
		r.routes.learn(key, pool)
	}
	return err
}

// CreateQueue makes a queue; see store.Store.CreateQueue. Other errors: protocol.ErrNoRoom, ErrDeadLetterPool.
func (r *Router) CreateQueue(ctx context.Context, key protocol.QueueKey, metadata []byte) (created bool, err error) {
	if metadata == nil {
		metadata = []byte("{}")
	}
	placed := false // by this call
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		made, err := st.CreateQueue(ctx, key, metadata)
		if e, ok := errors.AsType[*store.ElsewhereError](err); ok && e.New {
			placed = true
		}
		created = made
		return err
	})
	return (created || placed) && err == nil, err
}

// Queue returns a queue, or protocol.ErrNoQueue.
func (r *Router) Queue(ctx context.Context, key protocol.QueueKey) (queue *protocol.Queue, err error) {
	err = r.at(ctx, key, func(pool int64, st *store.Store) error {
		if queue, err = st.Queue(ctx, key); err == nil {
			r.ids.learn(queue.ID, pool)
		}
		return err
	})
	return queue, err
}

// errTied says that metadata ask for a flavor or a dead-letter queue.
var errTied = errors.New("metadata may tie the queue to a pool")

// errChanged says that a queue's metadata changed between a look at them and their change.
var errChanged = errors.New("metadata changed meanwhile")

// UpdateQueue changes a queue's metadata; see store.Store.UpdateQueue. Other errors: protocol.ErrDeadLetterPool,
// ErrFlavorElsewhere: queues stay where they are.
func (r *Router) UpdateQueue(ctx context.Context, key protocol.QueueKey, update func([]byte) ([]byte, error)) (queue *protocol.Queue, err error) {
	err = r.at(ctx, key, func(pool int64, st *store.Store) error {
		if r.members.Load().only != nil {
			if queue, err = st.UpdateQueue(ctx, key, untied(update)); !errors.Is(err, errTied) {
				return err
			}
		}
		// What the new metadata ask for is looked up before the queue is locked.
		for range 10 {
			if queue, err = r.updateChecked(ctx, key, pool, st, update); !errors.Is(err, errChanged) {
				return err
			}
		}
		return fmt.Errorf("update queue: %w: %w", protocol.ErrUnavailable, err)
	})
	return queue, err
}

// untied refuses metadata of an update that may tie a queue to a pool.
func untied(update func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(metadata []byte) ([]byte, error) {
		next, err := update(metadata)
		if err == nil && store.Tied(next) {
			err = errTied
		}
		return next, err
	}
}

// updateChecked makes one attempt. errChanged: somebody else came between.
func (r *Router) updateChecked(ctx context.Context, key protocol.QueueKey, pool int64, st *store.Store, update func([]byte) ([]byte, error)) (*protocol.Queue, error) {
	now, err := st.Queue(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("update queue: %w", err)
	}
	next, err := update(now.Metadata)
	if err != nil {
		return nil, err
	}
	if err := r.checkStays(ctx, key, pool, now.Metadata, next); err != nil {
		return nil, fmt.Errorf("update queue: %w", err)
	}
	if pool != 0 {
		if err := r.catalogue.CopyMetadata(ctx, key, pool, next); err != nil {
			return nil, fmt.Errorf("update queue: %w", err)
		}
	}
	return st.UpdateQueue(ctx, key, func(metadata []byte) ([]byte, error) {
		if !bytes.Equal(metadata, now.Metadata) {
			return nil, errChanged
		}
		return next, nil
	})
}

// checkStays refuses metadata that ask for another pool than the one where the queue is. A flavor that the queue had
// already is none of that: its pools may have changed since.
func (r *Router) checkStays(ctx context.Context, key protocol.QueueKey, pool int64, old, next []byte) error {
	if !store.Tied(next) {
		return nil
	}
	bonds, err := r.catalogue.Bonds(ctx, key, next)
	if err != nil {
		return err
	}
	for _, other := range bonds.DeadLetters {
		if other != pool {
			return protocol.ErrDeadLetterPool
		}
	}
	if bonds.Flavor == "" || bonds.Flavor == store.FlavorOf(old) {
		return nil
	}
	candidates, err := r.catalogue.Candidates(ctx, bonds.Flavor)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(candidates, func(c store.Candidate) bool { return c.ID == pool }) {
		return &protocol.FaultDetail{Fault: protocol.ErrFlavorElsewhere, Detail: bonds.Flavor}
	}
	return nil
}

// PurgeQueue drops what a queue holds; see store.Store.PurgeQueue.
func (r *Router) PurgeQueue(ctx context.Context, key protocol.QueueKey, messages, subscriptions bool) error {
	return r.at(ctx, key, func(_ int64, st *store.Store) error {
		return st.PurgeQueue(ctx, key, messages, subscriptions)
	})
}

// QueueStats counts a queue's messages; see store.Store.QueueStats.
func (r *Router) QueueStats(ctx context.Context, key protocol.QueueKey) (stats protocol.QueueStats, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		stats, err = st.QueueStats(ctx, key)
		return err
	})
	return stats, err
}
