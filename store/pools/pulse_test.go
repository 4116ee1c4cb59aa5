package pools

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// die stops a pool's database, as far as anybody sees.
func die(proxy *storetest.Proxy) {
	proxy.Refuse(true)
	proxy.DropAll()
}

// revive starts it again, and waits until that is known.
func revive(t *testing.T, proxy *storetest.Proxy, m *member) {
	t.Helper()
	proxy.Refuse(false)
	eventually(t, "the pool is well", func() bool {
		m.ping(m.store.Load())
		return !m.sick.Load()
	})
}

// makers make a queue in each way in which one is made.
var makers = map[string]func(*world, *Router, protocol.QueueKey) error{
	"create": func(w *world, r *Router, k protocol.QueueKey) error {
		created, err := r.CreateQueue(w.t.Context(), k, []byte(`{"a": 1}`))
		if err == nil && !created {
			err = fmt.Errorf("queue %s was there", k.Name)
		}
		return err
	},
	"post": func(_ *world, r *Router, k protocol.QueueKey) error { _, err := tryPost(r, k, "a"); return err },
	"subscribe": func(w *world, r *Router, k protocol.QueueKey) error {
		return r.CreateSubscription(w.t.Context(), &protocol.Subscription{Queue: k, Subscriber: "http://127.0.0.1/", TTL: 60, Options: []byte("{}")}, false)
	},
}

// New queues leave out a pool that has died, from the first one on, whoever makes them and however, and go there again
// when it is back.
func TestNewQueuesAvoidTheDead(t *testing.T) {
	t.Parallel()
	for name, pace := range map[string]func(*Config){"before it is known": slow, "once it is known": quick} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.router(func(cfg *Config) { pace(cfg); cfg.DefaultWeight = 1 })
			proxy := storetest.NewProxy(t, storetest.URL(t))
			heavy := w.poolAt(r, "heavy", proxy.URL(), 1<<31)
			w.post(r, key("before"), "a")
			if at := w.where(r, key("before")); at != heavy {
				t.Fatalf("a queue went to pool %d", at)
			}
			die(proxy)
			m := r.members.Load().byID[heavy]
			if cfg := r.cfg; cfg.Ping < cfg.OpenWait {
				eventually(t, "the pool is found sick", m.sick.Load)
			}
			for what, make := range makers {
				k := key("new-" + what)
				wantErr(t, what, make(w, r, k), nil)
				if at := w.where(r, k); at != 0 {
					t.Errorf("%s: the queue went to pool %d", what, at)
				}
			}
			if q, err := r.Queue(t.Context(), key("new-create")); err != nil || string(q.Metadata) != `{"a": 1}` {
				t.Errorf("the queue that moved is %+v, %v", q, err)
			}
			revive(t, proxy, m)
			wantErr(t, "post", makers["post"](w, r, key("after")), nil)
			if at := w.where(r, key("after")); at != heavy {
				t.Errorf("after its return, a queue went to pool %d", at)
			}
		})
	}
}

// Nothing is kept of a queue for which no pool answers.
func TestNothingIsKeptOfRefusedQueues(t *testing.T) {
	t.Parallel()
	for name, pace := range map[string]func(*Config){"before it is known": slow, "once it is known": quick} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.router(func(cfg *Config) { pace(cfg); cfg.DefaultWeight = 0 })
			proxy := storetest.NewProxy(t, storetest.URL(t))
			only := w.poolAt(r, "only", proxy.URL(), 1)
			die(proxy)
			if cfg := r.cfg; cfg.Ping < cfg.OpenWait {
				eventually(t, "the pool is found sick", r.members.Load().byID[only].sick.Load)
			}
			for what, make := range makers {
				if what == "post" && name == "before it is known" {
					continue // posts wait longer than the pool stays away
				}
				wantErr(t, what, make(w, r, key(what)), protocol.ErrUnavailable)
			}
			list, err := r.Queues(t.Context(), protocol.QueuePage{Project: "p", Limit: 10})
			if n := w.number(w.db(w.url), `SELECT count(*) FROM queue`); err != nil || len(list) != 0 || n != 0 {
				t.Errorf("queues %v, %v; the catalogue has %d", list, err, n)
			}
			revive(t, proxy, r.members.Load().byID[only])
			for what, make := range makers {
				wantErr(t, what+" when the pool is back", make(w, r, key(what)), nil)
			}
		})
	}
}

// A queue may have been made when its making has no outcome: its place stays, and it is found there.
func TestMakingWithoutOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(func(cfg *Config) { slow(cfg); cfg.DefaultWeight = 0 })
	proxy := storetest.NewProxy(t, storetest.URL(t))
	only := w.poolAt(r, "only", proxy.URL(), 1)
	var k protocol.QueueKey
	tries := 0
	eventually(t, "the commit is lost", func() bool { // the start of a connection may be struck instead
		tries++
		k = key(fmt.Sprint("q", tries))
		held, release := proxy.HoldSync(storetest.Match{SQL: "placed_queue.dropped_at IS NULL"})
		ended := make(chan error, 1)
		go func() {
			_, err := r.CreateQueue(t.Context(), k, nil)
			ended <- err
		}()
		select {
		case <-held:
		case err := <-ended:
			t.Fatalf("nothing was held: %v", err)
		}
		proxy.DropAfterSync(storetest.Match{SQL: "commit"})
		release()
		return errors.Is(<-ended, protocol.ErrOutcomeUnknown)
	})
	created, err := r.CreateQueue(t.Context(), k, nil)
	if err != nil || created || w.where(r, k) != only {
		t.Errorf("again: %v, %v, in pool %d", created, err, w.where(r, k))
	}
	w.post(r, k, "a")
}

// Who placed a queue and could not make it takes its place back, unless somebody else has begun to make it: a message that
// is in it stays.
func TestPlaceIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, url := w.pool(r, "one", 0)
	ctx := t.Context()
	place := func(name string) (protocol.QueueKey, int64) {
		id, err := r.catalogue.Place(ctx, key(name), []byte("{}"), one)
		if err != nil {
			t.Fatal(err)
		}
		return key(name), id
	}
	k, id := place("used")
	w.post(w.router(slow), k, "a")
	wantErr(t, "take back", r.catalogue.TakeBack(ctx, id), nil)
	if got := w.bodies(w.router(slow), k); got != "a" {
		t.Errorf("the queue has %q", got)
	}

	k, id = place("unused")
	wantErr(t, "take back", r.catalogue.TakeBack(ctx, id), nil)
	wantErr(t, "keep", r.Keep(ctx, id), protocol.ErrNoQueue)
	_, err := r.Queue(ctx, k)
	wantErr(t, "a queue whose place was taken back", err, protocol.ErrNoQueue)

	// One that was just read by a gateway that is late is not made any more.
	k, id = place("late")
	cfg := r.base
	cfg.DatabaseURL, cfg.PoolID = url, one
	late, err := store.Open(ctx, cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Stop(ctx)
	late.SetPlacement(&stalePlacement{r, store.Placed{Pool: one, ID: id, Metadata: []byte("{}"), Tentative: true}})
	wantErr(t, "take back", r.catalogue.TakeBack(ctx, id), nil)
	_, err = late.Queue(ctx, k)
	wantErr(t, "a late gateway", err, protocol.ErrUnavailable)
	if n := w.number(w.db(url), `SELECT count(*) FROM queue WHERE id = $1`, id); n != 0 {
		t.Error("a queue was made whose place was taken back")
	}
}

// stalePlacement says what it once read.
type stalePlacement struct {
	*Router
	placed store.Placed
}

func (p *stalePlacement) Place(context.Context, protocol.QueueKey, []byte, bool) (store.Placed, error) {
	return p.placed, nil
}
