package pools

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Place says where a queue is and, with create, gives a missing one a place. It implements store.Placement.
func (r *Router) Place(ctx context.Context, key protocol.QueueKey, metadata []byte, create bool) (store.Placed, error) {
	if create && r.members.Load().only != nil && !store.Tied(metadata) {
		return store.Placed{}, nil // and the default pool's store makes it
	}
	var failed failures
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
		placed, has, err := r.placeNew(ctx, key, metadata, &failed)
		if has || err != nil && !errors.Is(err, protocol.ErrNoPool) {
			return placed, err
		}
	}
	return store.Placed{}, fmt.Errorf("%w: queue %q comes and goes", protocol.ErrUnavailable, key.Name)
}

// Keep is store.Catalogue.Keep. It implements store.Placement.
func (r *Router) Keep(ctx context.Context, id int64) error { return r.catalogue.Keep(ctx, id) }

// failures are the pools that could not make a queue, and why the last one could not.
type failures struct {
	pools []int64
	last  error
}

// placeNew gives a queue a place, notes it, and makes the queue there. The queue has none after it when somebody else has
// placed it meanwhile, or when the pool could not make it, which is noted in failed and leaves no trace.
func (r *Router) placeNew(ctx context.Context, key protocol.QueueKey, metadata []byte, failed *failures) (placed store.Placed, has bool, err error) {
	pool, err := r.choose(ctx, key, metadata, failed)
	if err != nil || pool == 0 {
		return store.Placed{Several: true}, err == nil, err
	}
	// Nothing is noted that cannot be made because a pool is away.
	st, err := r.storeOf(ctx, pool)
	if err != nil {
		return placed, false, err
	}
	id, err := r.catalogue.Place(ctx, key, metadata, pool)
	if err != nil || id == 0 {
		return placed, false, err
	}
	made, err := r.makeNew(ctx, st, key, id, metadata)
	if err != nil && !errors.Is(err, protocol.ErrOutcomeUnknown) {
		r.suspect(pool)
		failed.pools, failed.last = append(failed.pools, pool), err
		err = nil
	}
	if !made { // after no error it was deleted already
		return placed, false, err
	}
	return store.Placed{Pool: pool, ID: id, Metadata: metadata, New: true}, true, nil
}

// makeTimeout is how long a pool may take to make a queue.
const makeTimeout = 5 * time.Second

// makeNew makes a queue that was just placed in its pool. If that fails for certain, the place is taken back.
func (r *Router) makeNew(ctx context.Context, st *store.Store, key protocol.QueueKey, id int64, metadata []byte) (made bool, err error) {
	work, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	made, err = st.Adopt(work, key, id, metadata)
	if err == nil || errors.Is(err, protocol.ErrOutcomeUnknown) {
		return made, err
	}
	// It must not stay because who asked for it has gone.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeTimeout)
	defer cancel()
	if undone := r.catalogue.TakeBack(undo, id); undone != nil {
		r.log.Warn().Err(undone).Int64("id", id).Msg("a queue is left half made; it is finished when somebody uses it")
	}
	return false, err
}

// suspect has a pool asked whether it answers.
func (r *Router) suspect(pool int64) {
	if m := r.members.Load().byID[pool]; m != nil {
		m.suspect()
	}
}

// choose returns the pool for a new queue: where its dead letters go or come from, else where subscriptions to its name
// are, else one of its flavor or, if it asks for none, of those without a flavor, by weight. It chooses none that has failed,
// nor one that does not answer.
func (r *Router) choose(ctx context.Context, key protocol.QueueKey, metadata []byte, failed *failures) (int64, error) {
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
		candidates = []store.Candidate{{ID: bonds.DeadLetters[0], Weight: 1}}
	case bonds.Home != nil && allowed(*bonds.Home):
		candidates = []store.Candidate{{ID: *bonds.Home, Weight: 1}}
	}
	return r.chooseByWeight(candidates, failed)
}

// chooseByWeight picks a pool by weight, among those that answer and have not failed.
func (r *Router) chooseByWeight(candidates []store.Candidate, failed *failures) (int64, error) {
	list := r.members.Load()
	var fit []store.Candidate
	some := false
	for _, c := range candidates {
		if c.Weight <= 0 {
			continue
		}
		some = true
		// One that is not known yet was made a moment ago.
		if m := list.byID[c.ID]; (m == nil || m.fit()) && !slices.Contains(failed.pools, c.ID) {
			fit = append(fit, c)
		}
	}
	switch {
	case !some:
		return 0, protocol.ErrNoRoom
	case len(fit) == 0 && failed.last != nil:
		return 0, failed.last
	case len(fit) == 0:
		return 0, fmt.Errorf("%w: no pool that could take the queue answers", protocol.ErrUnavailable)
	}
	return weighted(fit, rand.Int64N), nil
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
