package pools

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Place says where a queue is and, with create, gives a missing one a place. It implements store.Placement.
func (r *Router) Place(ctx context.Context, key protocol.QueueKey, metadata []byte, create bool) (store.Placed, error) {
	if create && r.members.Load().only != nil && !store.Tied(metadata) {
		return store.Placed{}, nil // and the default pool's store makes it
	}
	// Between a look and a change others may make or delete the queue, or a pool.
	for range 10 {
		placed, removed, err := r.catalogue.PlaceOf(ctx, key)
		switch {
		case err == nil && !removed:
			return placed, nil
		case err == nil:
			if err := r.remove(ctx, store.Removal{Key: key, ID: placed.ID, Pool: placed.Pool}); err != nil {
				return store.Placed{}, err
			}
			continue
		case !errors.Is(err, protocol.ErrNoQueue) || !create:
			return store.Placed{}, err
		}
		placed, err = r.placeNew(ctx, key, metadata)
		if err != nil && !errors.Is(err, protocol.ErrNoPool) {
			return store.Placed{}, err
		}
		if err == nil && (placed.Pool == 0 || placed.New) {
			return placed, nil
		}
	}
	return store.Placed{}, fmt.Errorf("%w: queue %q comes and goes", protocol.ErrUnavailable, key.Name)
}

// placeNew gives a queue a place and notes it. What it returns is not New when the queue has got one meanwhile.
func (r *Router) placeNew(ctx context.Context, key protocol.QueueKey, metadata []byte) (store.Placed, error) {
	pool, err := r.choose(ctx, key, metadata)
	if err != nil || pool == 0 {
		return store.Placed{Pool: pool}, err
	}
	// Nothing is left half made because a pool is away.
	if _, err := r.storeOf(ctx, pool); err != nil {
		return store.Placed{}, err
	}
	id, err := r.catalogue.Place(ctx, key, metadata, pool)
	return store.Placed{Pool: pool, ID: id, Metadata: metadata, New: id != 0}, err
}

// choose returns the pool for a new queue: where its dead letters go or come from, else where subscriptions to its name
// are, else one of its flavor or, if it asks for none, of those without a flavor, by weight.
func (r *Router) choose(ctx context.Context, key protocol.QueueKey, metadata []byte) (int64, error) {
	bonds, err := r.catalogue.Bonds(ctx, key, metadata)
	if err != nil {
		return 0, err
	}
	candidates, err := r.catalogue.Candidates(ctx, bonds.Flavor)
	if err != nil {
		return 0, err
	}
	if bonds.Flavor == "" {
		candidates = append(candidates, store.Candidate{ID: 0, Weight: r.cfg.DefaultWeight})
	}
	allowed := func(pool int64) bool {
		return bonds.Flavor == "" || slices.ContainsFunc(candidates, func(c store.Candidate) bool { return c.ID == pool })
	}
	switch {
	case len(bonds.DeadLetters) > 1, len(bonds.DeadLetters) == 1 && !allowed(bonds.DeadLetters[0]):
		return 0, fmt.Errorf("place queue %q: %w", key.Name, protocol.ErrDeadLetterPool)
	case len(bonds.DeadLetters) == 1:
		return bonds.DeadLetters[0], nil
	case bonds.Home != nil && allowed(*bonds.Home):
		return *bonds.Home, nil
	}
	return r.chooseByWeight(candidates)
}

// chooseByWeight picks a pool by weight, among those that are open if any is.
func (r *Router) chooseByWeight(candidates []store.Candidate) (int64, error) {
	list := r.members.Load()
	var open []store.Candidate
	some := false
	for _, c := range candidates {
		if c.Weight <= 0 {
			continue
		}
		some = true
		// One that is not known yet was made a moment ago.
		if m := list.byID[c.ID]; m == nil || m.store.Load() != nil || !m.wasTried() {
			open = append(open, c)
		}
	}
	switch {
	case !some:
		return 0, protocol.ErrNoRoom
	case len(open) == 0:
		return 0, fmt.Errorf("%w: no pool that could take the queue is open", protocol.ErrUnavailable)
	}
	return weighted(open, rand.Int64N), nil
}

// weighted picks a candidate with the probability that its weight has in the sum of all, which must be positive. below
// returns a random number from 0 to one less than its argument.
func weighted(candidates []store.Candidate, below func(int64) int64) int64 {
	var sum int64
	for _, c := range candidates {
		sum += c.Weight
	}
	at := below(sum)
	for _, c := range candidates {
		if at -= c.Weight; at < 0 {
			return c.ID
		}
	}
	return candidates[len(candidates)-1].ID
}
