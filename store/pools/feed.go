package pools

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// queueIDs remembers the pools of queues by their ids. A queue's id never changes its pool, so nothing in it goes out of
// date; it is bounded.
type queueIDs struct {
	size int

	mu    sync.Mutex
	pools map[int64]int64
}

func newQueueIDs(size int) *queueIDs { return &queueIDs{size: size, pools: make(map[int64]int64)} }

func (x *queueIDs) learn(id, pool int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.pools[id]; !known && len(x.pools) >= x.size {
		for some := range x.pools { // map order makes the choice random
			delete(x.pools, some)
			break
		}
	}
	x.pools[id] = pool
}

// group returns the ids by their pools, and those of which nothing is known.
func (x *queueIDs) group(ids []int64) (byPool map[int64][]int64, unknown []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	byPool = make(map[int64][]int64)
	for _, id := range ids {
		if pool, ok := x.pools[id]; ok {
			byPool[pool] = append(byPool[pool], id)
		} else {
			unknown = append(unknown, id)
		}
	}
	return byPool, unknown
}

// poolsOf groups queues by their pools; those that are gone are left out.
func (r *Router) poolsOf(ctx context.Context, ids []int64) (map[int64][]int64, error) {
	byPool, unknown := r.ids.group(ids)
	if len(unknown) == 0 {
		return byPool, nil
	}
	if _, err := r.storeOf(ctx, 0); err != nil { // the catalogue's
		return nil, err
	}
	found, err := r.catalogue.PoolsOf(ctx, unknown)
	if err != nil {
		return nil, err
	}
	for id, pool := range found {
		r.ids.learn(id, pool)
		byPool[pool] = append(byPool[pool], id)
	}
	return byPool, nil
}

// Head reads a queue's head for a feed; see store.Store.Head.
func (r *Router) Head(ctx context.Context, key protocol.QueueKey) (head protocol.Head, err error) {
	err = r.at(ctx, key, func(pool int64, st *store.Store) error {
		if head, err = st.Head(ctx, key); err == nil {
			r.ids.learn(head.QueueID, pool)
		}
		return err
	})
	return head, err
}

// Feed reads what lies behind a cursor; see store.Store.Feed.
func (r *Router) Feed(ctx context.Context, key protocol.QueueKey, queueID, cursor int64, limitRows, limitBytes int) (page protocol.FeedPage, err error) {
	if only := r.members.Load().only; only != nil {
		return only.Feed(ctx, key, queueID, cursor, limitRows, limitBytes)
	}
	byPool, err := r.poolsOf(ctx, []int64{queueID})
	if err != nil {
		return protocol.FeedPage{}, fmt.Errorf("read feed: %w", err)
	}
	for pool := range byPool {
		st, err := r.storeOf(ctx, pool)
		if errors.Is(err, protocol.ErrNoPool) {
			break // deleted, so there was no queue in it
		}
		if err != nil {
			return protocol.FeedPage{}, fmt.Errorf("read feed: %w", err)
		}
		read := func(ctx context.Context) error {
			page, err = st.Feed(ctx, key, queueID, cursor, limitRows, limitBytes)
			return err
		}
		if m := r.members.Load().byID[pool]; m != nil {
			err = m.whileWell(ctx, read)
		} else {
			err = read(ctx)
		}
		return page, err
	}
	return protocol.FeedPage{}, fmt.Errorf("read feed of queue %q: %w", key.Name, protocol.ErrNoQueue)
}

// poolTimeout bounds what is asked of all pools at once, so that one that does not answer holds up nobody for long.
const poolTimeout = 2 * time.Second

// Heads returns the newest number of each queue; see store.Store.Heads. A queue in a pool that does not answer is there
// with 0, which is no news.
func (r *Router) Heads(ctx context.Context, queueIDs []int64) (map[int64]int64, error) {
	if only := r.members.Load().only; only != nil {
		return only.Heads(ctx, queueIDs)
	}
	byPool, err := r.poolsOf(ctx, queueIDs)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	var mu sync.Mutex
	heads := make(map[int64]int64, len(queueIDs))
	failed := r.each(ctx, byPool, poolTimeout, func(ctx context.Context, st *store.Store, ids []int64) error {
		found, err := st.Heads(ctx, ids)
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(heads, found)
		return err
	})
	for pool, err := range failed {
		if len(failed) == len(byPool) {
			return nil, err
		}
		if !errors.Is(err, protocol.ErrNoPool) {
			for _, id := range byPool[pool] {
				heads[id] = 0
			}
		}
	}
	return heads, nil
}

// Observe renews the note that queues are observed; see store.Store.Observe. It fails if it does in every pool.
func (r *Router) Observe(ctx context.Context, queueIDs []int64) error {
	if only := r.members.Load().only; only != nil {
		return only.Observe(ctx, queueIDs)
	}
	byPool, err := r.poolsOf(ctx, queueIDs)
	if err != nil {
		return fmt.Errorf("observe queues: %w", err)
	}
	failed := r.each(ctx, byPool, poolTimeout, func(ctx context.Context, st *store.Store, ids []int64) error {
		return st.Observe(ctx, ids)
	})
	for pool, err := range failed {
		if len(failed) == len(byPool) {
			return err
		}
		r.log.Warn().Err(err).Int64("pool", pool).Msg("the pool's queues are not noted as observed")
	}
	return nil
}
