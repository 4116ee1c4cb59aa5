package pools

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Each number that the random source can give picks a pool, each pool as many as it weighs.
func TestWeighted(t *testing.T) {
	t.Parallel()
	list := []store.Candidate{{ID: 1, Weight: 3}, {ID: 2, Weight: 1}, {ID: 3, Weight: 6}}
	got := make(map[int64]int)
	for at := range int64(10) {
		got[weighted(list, func(sum int64) int64 {
			if sum != 10 {
				t.Errorf("the sum is %d", sum)
			}
			return at
		})]++
	}
	if diff := cmp.Diff(map[int64]int{1: 3, 2: 1, 3: 6}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := weighted([]store.Candidate{{ID: 1, Weight: math.MaxUint32}, {ID: 2, Weight: math.MaxUint32}}, rand.Int64N); n != 1 && n != 2 {
		t.Errorf("picked %d", n)
	}
}

// Queues that ask for nothing spread by weight; a weight of 0 excludes, also the default pool.
func TestPlacementByWeight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(func(cfg *Config) { slow(cfg); cfg.DefaultWeight = 100 })
	one, _ := w.pool(r, "one", 300)
	none, _ := w.pool(r, "none", 0)
	const n = 800
	found := make(map[int64]int)
	for i := range n {
		placed, err := r.choose(t.Context(), key(fmt.Sprint(i)), []byte("{}"), &failures{})
		if err != nil {
			t.Fatal(err)
		}
		found[placed]++
	}
	// The share is 1/4 with a standard deviation of 12: five of them on either side make a false alarm a matter of ages.
	if found[none] != 0 || found[0]+found[one] != n || found[0] < n/4-62 || found[0] > n/4+62 {
		t.Errorf("the queues went to %v", found)
	}
	only := w.router(func(cfg *Config) { slow(cfg); cfg.DefaultWeight = 0 })
	for i := range 20 {
		w.post(only, key(fmt.Sprintf("n%d", i)), "a")
		if at := w.where(r, key(fmt.Sprintf("n%d", i))); at != one {
			t.Errorf("a queue went to pool %d", at)
		}
	}
	zero := int64(0)
	_, err := r.UpdatePool(t.Context(), "one", protocol.PoolChange{Weight: &zero})
	wantErr(t, "update", err, nil)
	_, err = only.CreateQueue(t.Context(), key("late"), nil)
	wantErr(t, "no pool with a weight", err, protocol.ErrNoRoom)
	_, err = tryPost(only, key("late"), "a")
	wantErr(t, "a post where no pool has a weight", err, protocol.ErrNoRoom)
}

func TestPlacementByFlavor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 100)
	two, _ := w.pool(r, "two", 100)
	ctx := t.Context()
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "fast", Pools: []string{"one"}}), nil)
	for _, gw := range []*Router{r, w.router(slow)} {
		for i := range 10 {
			name := fmt.Sprintf("%p%d", gw, i)
			created, err := gw.CreateQueue(ctx, key("f"+name), []byte(`{"_flavor": "fast"}`))
			if err != nil || !created || w.where(r, key("f"+name)) != one {
				t.Errorf("a queue of the flavor: %v, %v, pool %d", created, err, w.where(r, key("f"+name)))
			}
			created, err = gw.CreateQueue(ctx, key("n"+name), nil)
			if err != nil || !created || w.where(r, key("n"+name)) == one {
				t.Errorf("a queue without one: %v, %v, pool %d", created, err, w.where(r, key("n"+name)))
			}
		}
		_, err := gw.CreateQueue(ctx, key("x"), []byte(`{"_flavor": "slow"}`))
		wantErr(t, "an unknown flavor", err, protocol.ErrNoFlavor)
		_, err = gw.Queue(ctx, key("x"))
		wantErr(t, "a queue that was not made", err, protocol.ErrNoQueue)
	}

	// A queue stays where it is, and is given no flavor that says otherwise.
	k := key("moves")
	_, err := r.CreateQueue(ctx, k, []byte(`{"_flavor": "fast"}`))
	wantErr(t, "create", err, nil)
	set := func(text string) error {
		_, err := r.UpdateQueue(ctx, k, func([]byte) ([]byte, error) { return []byte(text), nil })
		return err
	}
	wantErr(t, "an unknown flavor in an update", set(`{"_flavor": "slow"}`), protocol.ErrNoFlavor)
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "slow", Pools: []string{"two"}}), nil)
	err = set(`{"_flavor": "slow"}`)
	if wantErr(t, "a flavor of other pools", err, protocol.ErrFlavorElsewhere); protocol.DetailOf(err) != "slow" {
		t.Errorf("the flavor is not named: %v", err)
	}
	wantErr(t, "delete a flavor that nobody uses", r.DeleteFlavor(ctx, "slow"), nil)
	wantErr(t, "again", r.DeleteFlavor(ctx, "slow"), nil)
	// It may keep the flavor that it has, also when its pool has left that.
	wantErr(t, "the flavor's pools change", r.CreateFlavor(ctx, protocol.Flavor{Name: "fast", Pools: []string{"two"}}), nil)
	wantErr(t, "other metadata", set(`{"_flavor": "fast", "x": 1}`), nil)
	wantErr(t, "delete a flavor in use", r.DeleteFlavor(ctx, "fast"), protocol.ErrFlavorInUse)
	wantErr(t, "none", set(`{}`), nil)
	wantErr(t, "back to it", set(`{"_flavor": "fast"}`), protocol.ErrFlavorElsewhere)
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "its", Pools: []string{"one"}}), nil)
	wantErr(t, "a flavor of its pool", set(`{"_flavor": "its"}`), nil)
	if q, err := r.Queue(ctx, k); err != nil || string(q.Metadata) != `{"_flavor": "its"}` || w.where(r, k) != one {
		t.Errorf("the queue is %+v, %v", q, err)
	}
	_ = two
}

// Queues of the default pool have no flavor, also while there is no other pool.
func TestFlavorsAreNotForTheDefaultPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx, here := t.Context(), key("here")
	_, err := r.CreateQueue(ctx, here, nil)
	wantErr(t, "create", err, nil)
	set := func(text string) error {
		_, err := r.UpdateQueue(ctx, here, func([]byte) ([]byte, error) { return []byte(text), nil })
		return err
	}
	missing := func(when string) {
		err := set(`{"_flavor": "nope"}`)
		if wantErr(t, "an unknown flavor "+when, err, protocol.ErrNoFlavor); protocol.DetailOf(err) != "nope" {
			t.Errorf("the flavor is not named: %v", err)
		}
	}
	missing("without pools")
	w.pool(r, "one", 100)
	missing("with a pool")
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "f", Pools: []string{"one"}}), nil)
	wantErr(t, "a flavor with a pool", set(`{"_flavor": "f"}`), protocol.ErrFlavorElsewhere)
	none := ""
	_, err = r.UpdatePool(ctx, "one", protocol.PoolChange{Flavor: &none})
	wantErr(t, "out of its flavor", err, nil)
	wantErr(t, "delete", r.DeletePool(ctx, "one"), nil)
	eventually(t, "the pool is gone", func() bool { return r.members.Load().only != nil })
	wantErr(t, "a flavor without a pool", set(`{"_flavor": "f"}`), protocol.ErrFlavorElsewhere)
	wantErr(t, "other metadata", set(`{"x": 1, "_dead_letter_queue": "d", "_max_claim_count": 2}`), nil)
	wantErr(t, "delete a flavor that nobody uses", r.DeleteFlavor(ctx, "f"), nil)
}

// A dead-letter queue is in its queue's pool, whichever of the two is made first.
func TestDeadLetterQueuesStayTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	two, _ := w.pool(r, "two", 0)
	ctx := t.Context()
	metadata := func(dead string) []byte {
		return fmt.Appendf(nil, `{"_max_claim_count": 1, "_dead_letter_queue": %q}`, dead)
	}
	set := func(k protocol.QueueKey, dead string) error {
		_, err := r.UpdateQueue(ctx, k, func([]byte) ([]byte, error) { return metadata(dead), nil })
		return err
	}
	create := func(name, dead string) (protocol.QueueKey, error) {
		_, err := r.CreateQueue(ctx, key(name), metadata(dead))
		return key(name), err
	}

	w.place(r, "dead", one)
	k, err := create("first", "dead")
	if wantErr(t, "create", err, nil); w.where(r, k) != one {
		t.Errorf("the queue is in pool %d, its dead letters' in %d", w.where(r, k), one)
	}
	other := w.place(r, "other", two)
	wantErr(t, "a dead-letter queue elsewhere", set(other, "dead"), protocol.ErrDeadLetterPool)
	if q, err := r.Queue(ctx, other); err != nil || string(q.Metadata) != "{}" {
		t.Errorf("the refused change left %s, %v", q.Metadata, err)
	}
	wantErr(t, "a dead-letter queue that is to be", set(other, "later"), nil)
	w.post(r, key("later"), "a")
	if at := w.where(r, key("later")); at != two {
		t.Errorf("the dead-letter queue went to pool %d", at)
	}
	// Messages do get there.
	w.post(r, k, "m")
	claim := w.claim(r, k, 1)
	wantErr(t, "release", r.ReleaseClaim(ctx, k, claim.ClaimID), nil)
	if got := w.bodies(r, key("dead")); got != "m" {
		t.Errorf("dead letters: %q", got)
	}
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "f", Pools: []string{"two"}}), nil)
	_, err = r.CreateQueue(ctx, key("bad"), []byte(`{"_flavor": "f", "_dead_letter_queue": "dead", "_max_claim_count": 1}`))
	wantErr(t, "a flavor away from the dead letters", err, protocol.ErrDeadLetterPool)
	one2 := w.place(r, "third", one)
	wantErr(t, "a dead-letter queue of another's pool", set(one2, "later"), protocol.ErrDeadLetterPool)
}

// What was placed but not made is made by whoever comes next, under its id and with its metadata.
func TestHalfMadePlacement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	ctx := t.Context()
	next := 0
	half := func() (protocol.QueueKey, int64) {
		next++
		k := key(fmt.Sprintf("half%d", next))
		id, err := r.catalogue.Place(ctx, k, []byte(`{"x": 1}`), one)
		if err != nil {
			t.Fatal(err)
		}
		return k, id
	}
	for name, use := range map[string]func(*Router, protocol.QueueKey) error{
		"post":   func(r *Router, k protocol.QueueKey) error { _, err := tryPost(r, k, "a"); return err },
		"claim":  func(r *Router, k protocol.QueueKey) error { return tryClaim(r, k, 1).Err },
		"read":   func(r *Router, k protocol.QueueKey) error { _, err := r.Queue(ctx, k); return err },
		"stats":  func(r *Router, k protocol.QueueKey) error { _, err := r.QueueStats(ctx, k); return err },
		"head":   func(r *Router, k protocol.QueueKey) error { _, err := r.Head(ctx, k); return err },
		"create": func(r *Router, k protocol.QueueKey) error { _, err := r.CreateQueue(ctx, k, nil); return err },
	} {
		k, id := half()
		wantErr(t, name, use(w.router(slow), k), nil)
		if q, err := r.Queue(ctx, k); err != nil || q.ID != id || string(q.Metadata) != `{"x": 1}` {
			t.Errorf("%s: the queue is %+v, %v, want id %d", name, q, err, id)
		}
	}
	k, _ := half()
	wantErr(t, "delete", w.router(slow).DeleteQueue(ctx, k), nil)
	_, err := r.Queue(ctx, k)
	wantErr(t, "a deleted one", err, protocol.ErrNoQueue)

	// A gateway that is late makes nothing that was deleted meanwhile.
	late, id := half()
	wantErr(t, "delete", r.DeleteQueue(ctx, late), nil)
	st := r.members.Load().byID[one].store.Load()
	if made, err := st.Adopt(ctx, late, id, []byte("{}")); made || err != nil {
		t.Errorf("a deleted queue was made: %v, %v", made, err)
	}
}

// Many gateways making the same queues and pools at once agree.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gateways := []*Router{w.router(quick), w.router(quick), w.router(quick)}
	ctx := t.Context()
	urls := make(map[string]string)
	for _, name := range []string{"one", "two", "three"} {
		_, urls[name] = w.pool(gateways[0], name, 100)
		wantErr(t, "delete", gateways[0].DeletePool(ctx, name), nil)
	}
	var all sync.WaitGroup
	for _, gw := range gateways {
		for name, url := range urls {
			all.Go(func() {
				err := gw.CreatePool(ctx, protocol.Pool{Name: name, URI: url, Weight: 100})
				wantErr(t, "create pool "+name, err, nil)
			})
		}
	}
	all.Wait()
	if rows, err := gateways[0].catalogue.AllPools(ctx); err != nil || len(rows) != 3 {
		t.Fatalf("pools %v, %v", rows, err)
	}
	const queues = 40
	var mu sync.Mutex
	made := make(map[int]int)
	for _, gw := range gateways {
		for i := range queues {
			all.Go(func() {
				created, err := gw.CreateQueue(ctx, key(fmt.Sprint(i)), nil)
				wantErr(t, "create", err, nil)
				_, err = tryPost(gw, key(fmt.Sprint(i)), "a")
				wantErr(t, "post", err, nil)
				mu.Lock()
				defer mu.Unlock()
				if created {
					made[i]++
				}
			})
		}
	}
	all.Wait()
	places := make(map[int64]bool)
	for i := range queues {
		if made[i] != 1 {
			t.Errorf("queue %d was made by %d", i, made[i])
		}
		if got := w.bodies(gateways[1], key(fmt.Sprint(i))); got != "a a a" {
			t.Errorf("queue %d has %q", i, got)
		}
		places[w.where(gateways[0], key(fmt.Sprint(i)))] = true
	}
	if len(places) < 3 {
		t.Errorf("the queues went to %v", places)
	}
}

func TestPlacementStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Place(ctx, key("x"), []byte(`{"_flavor": "f"}`), true); err == nil || errors.Is(err, protocol.ErrNoFlavor) {
		t.Errorf("a cancelled placement: %v", err)
	}
}
