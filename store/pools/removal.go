package pools

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// removalAge is how old a removal must be before another than who began it goes on with it.
const removalAge = 2 * time.Second

// removalRows bounds the removals that one pass finishes.
const removalRows = 200

// remove drops a queue that is marked for removal in its pool and takes it out of the catalogue.
func (r *Router) remove(ctx context.Context, removal store.Removal) error {
	st, err := r.storeOf(ctx, removal.Pool)
	if err != nil {
		return fmt.Errorf("remove queue: %w", err)
	}
	// The default pool's store may be waiting for this, and others for that.
	drop, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	subscribed, err := st.Drop(drop, removal.Key, removal.ID)
	if err != nil {
		r.suspect(removal.Pool)
		return fmt.Errorf("remove queue: %w", err)
	}
	r.routes.forget(removal.Key, removal.Pool)
	return r.catalogue.Removed(ctx, removal.ID, subscribed)
}

// finishRemovals finishes the removals in these pools that were begun at least age ago and left over.
func (r *Router) finishRemovals(ctx context.Context, pools []int64, age time.Duration) {
	if len(pools) == 0 {
		return
	}
	left, err := r.catalogue.Removals(ctx, pools, age, removalRows)
	r.logRemovals(ctx, err)
	byPool := make(map[int64][]store.Removal)
	for _, removal := range left {
		byPool[removal.Pool] = append(byPool[removal.Pool], removal)
	}
	var all sync.WaitGroup
	for _, removals := range byPool {
		all.Go(func() {
			for _, removal := range removals {
				if err := r.remove(ctx, removal); err != nil {
					r.logRemovals(ctx, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func (r *Router) logRemovals(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.log.Warn().Err(err).Msg("deleted queues are still there; trying again")
	}
}

// DeleteQueue deletes a queue; see store.Store.DeleteQueue. Once it has begun in another pool than the default one, it
// will be finished: protocol.ErrOutcomeUnknown says that this may take a while.
func (r *Router) DeleteQueue(ctx context.Context, key protocol.QueueKey) error {
	return r.at(ctx, key, func(pool int64, st *store.Store) error {
		if pool == 0 {
			return st.DeleteQueue(ctx, key)
		}
		placed, _, err := r.catalogue.PlaceOf(ctx, key)
		if err != nil {
			return fmt.Errorf("delete queue: %w", err)
		}
		if placed.Pool != pool {
			return &store.ElsewhereError{Placed: placed}
		}
		if err := st.Ping(ctx); err != nil { // nothing is begun that cannot be finished
			return fmt.Errorf("delete queue: %w", err)
		}
		if err := r.catalogue.Remove(ctx, placed.ID); err != nil {
			return fmt.Errorf("delete queue: %w", err)
		}
		if err := r.remove(ctx, store.Removal{Key: key, ID: placed.ID, Pool: pool}); err != nil {
			return fmt.Errorf("delete queue: %w: %w", protocol.ErrOutcomeUnknown, err)
		}
		return nil
	})
}
