package pools

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Subscriptions belong to a queue's name and are in the pool where the queue is or, if it was deleted, was.

// CreateSubscription makes a subscription; see store.Store.CreateSubscription.
func (r *Router) CreateSubscription(ctx context.Context, sub *protocol.Subscription, confirm bool) error {
	return r.at(ctx, sub.Queue, func(_ int64, st *store.Store) error { return st.CreateSubscription(ctx, sub, confirm) })
}

// with calls do with the store that has the subscriptions to a queue's name.
func (r *Router) with(ctx context.Context, key protocol.QueueKey, do func(st *store.Store) error) error {
	if only := r.members.Load().only; only != nil {
		return do(only)
	}
	pool := int64(0)
	_, err := r.storeOf(ctx, 0) // the catalogue's
	if err == nil {
		pool, err = r.catalogue.SubscriptionsOf(ctx, key)
	}
	if err != nil {
		if pool = r.routes.pool(key); pool == 0 {
			return err
		}
	}
	st, err := r.storeOf(ctx, pool)
	if err != nil {
		return fmt.Errorf("subscriptions: %w", unavailable(err))
	}
	return do(st)
}

// unavailable makes protocol.ErrNoPool, which is for those who name a pool, protocol.ErrUnavailable.
func unavailable(err error) error {
	if errors.Is(err, protocol.ErrNoPool) {
		return protocol.ErrUnavailable
	}
	return err
}

// UpdateSubscription changes a subscription; see store.Store.UpdateSubscription.
func (r *Router) UpdateSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, change protocol.SubscriptionChange) error {
	err := r.with(ctx, key, func(st *store.Store) error { return st.UpdateSubscription(ctx, key, id, change) })
	if err != nil || change.TTL == nil || r.members.Load().only != nil {
		return err
	}
	return r.catalogue.ExtendHome(ctx, key, *change.TTL)
}

// ConfirmSubscription notes whether the subscriber wants messages; see store.Store.ConfirmSubscription.
func (r *Router) ConfirmSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, confirmed bool) error {
	return r.with(ctx, key, func(st *store.Store) error { return st.ConfirmSubscription(ctx, key, id, confirmed) })
}

// SubscriptionSecrets returns a webhook's secrets; see store.Store.SubscriptionSecrets.
func (r *Router) SubscriptionSecrets(ctx context.Context, key protocol.QueueKey, id uuid.UUID, rotate bool) (secrets [][]byte, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		secrets, err = st.SubscriptionSecrets(ctx, key, id, rotate)
		return err
	})
	return secrets, err
}

// DeadDeliveries lists what could not be delivered; see store.Store.DeadDeliveries.
func (r *Router) DeadDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, marker int64, limit int) (list []protocol.DeadDelivery, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		list, err = st.DeadDeliveries(ctx, key, id, marker, limit)
		return err
	})
	return list, err
}

// ResendDeliveries has dead deliveries sent again; see store.Store.ResendDeliveries.
func (r *Router) ResendDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (n int64, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		n, err = st.ResendDeliveries(ctx, key, id, ids)
		return err
	})
	return n, err
}

// DeleteDeliveries forgets dead deliveries; see store.Store.DeleteDeliveries.
func (r *Router) DeleteDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (n int64, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		n, err = st.DeleteDeliveries(ctx, key, id, ids)
		return err
	})
	return n, err
}

// Subscriptions lists a queue's subscriptions; see store.Store.Subscriptions.
func (r *Router) Subscriptions(ctx context.Context, key protocol.QueueKey, marker string, limit int) (list []protocol.Subscription, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		list, err = st.Subscriptions(ctx, key, marker, limit)
		return err
	})
	return list, err
}

// Subscription returns one subscription; see store.Store.Subscription.
func (r *Router) Subscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) (sub *protocol.Subscription, err error) {
	err = r.with(ctx, key, func(st *store.Store) error {
		sub, err = st.Subscription(ctx, key, id)
		return err
	})
	return sub, err
}

// DeleteSubscription ends a subscription; see store.Store.DeleteSubscription.
func (r *Router) DeleteSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) error {
	return r.with(ctx, key, func(st *store.Store) error { return st.DeleteSubscription(ctx, key, id) })
}

// EndSocketSubscriptions ends subscriptions of this gateway's sockets; see store.Store.EndSocketSubscriptions. It fails
// when it does in one of the pools, and may be repeated.
func (r *Router) EndSocketSubscriptions(ctx context.Context, ids []uuid.UUID) error {
	if only := r.members.Load().only; only != nil {
		return only.EndSocketSubscriptions(ctx, ids)
	}
	failed := r.everywhere(ctx, func(ctx context.Context, st *store.Store) error { return st.EndSocketSubscriptions(ctx, ids) })
	for _, err := range failed {
		return err
	}
	return nil
}

// KnownSubscriptions returns those of ids that were neither deleted nor purged. While a pool does not answer, those that
// may be there count as known.
func (r *Router) KnownSubscriptions(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	list := r.members.Load()
	if list.only != nil {
		return list.only.KnownSubscriptions(ctx, ids)
	}
	var mu sync.Mutex
	var known []uuid.UUID
	failed := r.everywhere(ctx, func(ctx context.Context, st *store.Store) error {
		found, err := st.KnownSubscriptions(ctx, ids)
		mu.Lock()
		defer mu.Unlock()
		known = append(known, found...)
		return err
	})
	if len(failed) > 0 || len(r.openPools()) < len(list.others) {
		return ids, nil
	}
	return known, nil
}

// everywhere calls do with the store of each pool that is open, at the same time, and returns the errors by pool.
func (r *Router) everywhere(ctx context.Context, do func(context.Context, *store.Store) error) map[int64]error {
	byPool := map[int64][]int64{0: nil}
	for _, id := range r.openPools() {
		byPool[id] = nil
	}
	return r.each(ctx, byPool, poolTimeout, func(ctx context.Context, st *store.Store, _ []int64) error { return do(ctx, st) })
}
