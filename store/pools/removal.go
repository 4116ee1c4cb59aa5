package pools

import (
	"context"
	"fmt"
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
	subscribed, err := st.Drop(ctx, removal.Key, removal.ID)
	if err != nil {
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
	away := make(map[int64]bool)
	for _, removal := range left {
		if away[removal.Pool] {
			continue
		}
		if one := r.remove(ctx, removal); one != nil {
			away[removal.Pool], err = true, one
		}
	}
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
