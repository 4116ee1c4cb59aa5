package pools

import (
	"context"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Queues lists a project's queues, in whatever pools they are; see store.Store.Queues. The metadata of queues in a pool
// that does not answer are those that the catalogue noted.
func (r *Router) Queues(ctx context.Context, page protocol.QueuePage) ([]protocol.Queue, error) {
	return r.first.QueuesWith(ctx, page, r.fill())
}

// CountQueues counts a project's queues; see store.Store.CountQueues.
func (r *Router) CountQueues(ctx context.Context, page protocol.QueuePage) (int64, error) {
	return r.first.CountQueuesWith(ctx, page, r.fill())
}

func (r *Router) fill() func(context.Context, []store.Listed) {
	if r.members.Load().only != nil {
		return nil
	}
	return r.fillMetadata
}

// fillTimeout is how long a listing waits for a pool.
const fillTimeout = 2 * time.Second

// fillMetadata reads the metadata of queues where they are.
func (r *Router) fillMetadata(ctx context.Context, queues []store.Listed) {
	byPool := make(map[int64][]int64)
	for i := range queues {
		if queues[i].Pool != 0 {
			byPool[queues[i].Pool] = append(byPool[queues[i].Pool], queues[i].ID)
		}
	}
	var found sync.Map // queue id to metadata
	r.each(ctx, byPool, fillTimeout, func(ctx context.Context, st *store.Store, ids []int64) error {
		metadata, err := st.Metadata(ctx, ids)
		for id, m := range metadata {
			found.Store(id, m)
		}
		return err
	})
	for i := range queues {
		if metadata, ok := found.Load(queues[i].ID); ok {
			queues[i].Metadata = metadata.([]byte)
		}
	}
}

// each calls do for each pool of byPool at the same time, bounded by timeout, and returns the errors by pool. A pool that
// is not open is an error.
func (r *Router) each(ctx context.Context, byPool map[int64][]int64, timeout time.Duration, do func(context.Context, *store.Store, []int64) error) map[int64]error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	failed := make(map[int64]error)
	for pool, ids := range byPool {
		all.Go(func() {
			st, err := r.storeOf(ctx, pool)
			if err == nil {
				err = do(ctx, st, ids)
			}
			if err != nil {
				mu.Lock()
				failed[pool] = err
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return failed
}
