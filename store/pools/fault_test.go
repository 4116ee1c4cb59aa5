package pools

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// One pool is stopped: the others' queues go on as if nothing had happened, its own are answered 503, health names it, and
// when it is back everything that was acknowledged is there.
func TestOnePoolStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(quick)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	sick := w.poolAt(r, "sick", proxy.URL(), 100)
	well, _ := w.pool(r, "well", 100)
	keys := map[string]protocol.QueueKey{
		"default": w.place(r, "d", 0), "sick": w.place(r, "s", sick), "well": w.place(r, "w", well),
	}
	acked := make(map[string][]string)
	var mu sync.Mutex
	var writers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan struct{}, 1)
	for name, k := range keys {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("%s%d", name, i)
				_, err := tryPost(r, k, body)
				switch {
				case err == nil:
					mu.Lock()
					acked[name] = append(acked[name], body)
					mu.Unlock()
				case name != "sick":
					t.Errorf("%s: %v", name, err)
					return
				default:
					signal(refused)
				}
			}
		})
	}
	count := func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked[name])
	}
	eventually(t, "posts in the sick pool", func() bool { return count("sick") > 20 })
	proxy.Refuse(true)
	proxy.DropAll()
	<-refused
	before, beforeDefault := count("well"), count("default")
	eventually(t, "posts in the others", func() bool { return count("well") > before+50 && count("default") > beforeDefault+50 })

	health := r.Health(t.Context())
	for _, p := range health.Pools {
		if p.Reachable != (p.Ref == "") {
			t.Errorf("health of %s: reachable: %v, to be looked for in the log: %q", p.Name, p.Reachable, p.Ref)
		}
		if p.Reachable == (p.Name == "sick") {
			t.Errorf("health of %s: %+v", p.Name, p)
		}
	}
	if !health.CatalogReachable || len(health.Pools) != 3 || health.Pools[0].Name != protocol.DefaultPool {
		t.Errorf("health: %+v", health)
	}
	_, err := r.QueueStats(t.Context(), keys["sick"])
	wantErr(t, "stats in the sick pool", err, protocol.ErrUnavailable)
	if list, err := r.Queues(t.Context(), protocol.QueuePage{Project: "p", Limit: 10}); err != nil || len(list) != 3 {
		t.Errorf("the queues are %v, %v", list, err)
	}
	for i := range 20 { // new queues go where a pool can take them
		if _, err := tryPost(r, key(fmt.Sprintf("new%d", i)), "a"); err != nil && w.placedAt(r, fmt.Sprintf("new%d", i)) != sick {
			t.Errorf("a new queue: %v", err)
		}
	}

	stopped := count("sick")
	proxy.Refuse(false)
	eventually(t, "posts in the sick pool again", func() bool { return count("sick") > stopped+20 })
	cancel()
	writers.Wait()
	for name, k := range keys {
		got := w.all(r, k)
		seen := make(map[string]bool, len(got))
		for _, body := range got {
			seen[body] = true
		}
		for _, body := range acked[name] {
			if !seen[body] {
				t.Errorf("%s was acknowledged and is lost", body)
			}
		}
	}
}

// placedAt returns the pool that a queue was placed in, -1 if it was not.
func (w *world) placedAt(r *Router, name string) int64 {
	placed, _, err := r.catalogue.PlaceOf(w.t.Context(), key(name))
	if err != nil {
		return -1
	}
	return placed.Pool
}

// all returns the bodies of all messages.
func (w *world) all(r *Router, k protocol.QueueKey) (bodies []string) {
	w.t.Helper()
	marker := ""
	for {
		list, err := r.Messages(w.t.Context(), k, protocol.MessagePage{Limit: 1000, Echo: true, IncludeClaimed: true, Marker: marker})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(list) == 0 {
			return bodies
		}
		bodies = append(bodies, strings.Fields(bodiesOf(list))...)
		marker = list[len(list)-1].ID.String()
	}
}

// A pool that is away when the gateway starts holds up nobody, is answered at once, and is opened when it comes.
func TestPoolAwayAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(quick)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	sick := w.poolAt(r, "sick", proxy.URL(), 0)
	k := w.place(r, "q", sick)
	w.post(r, k, "a")
	proxy.Refuse(true)
	proxy.DropAll()
	began := time.Now()
	late := w.router(quick)
	w.post(late, key("fine"), "a")
	_, err := tryPost(late, k, "b")
	wantErr(t, "post", err, protocol.ErrUnavailable)
	wantErr(t, "claim", tryClaim(late, k, 1).Err, protocol.ErrUnavailable)
	wantErr(t, "delete", remove(late, k, []protocol.MessageID{{Queue: 1, N: 1}}), protocol.ErrUnavailable)
	_, err = late.Messages(t.Context(), k, protocol.MessagePage{Limit: 1})
	wantErr(t, "list", err, protocol.ErrUnavailable)
	if took := time.Since(began); took > 2*DefaultConfig().OpenWait+3*time.Second {
		t.Errorf("the answers took %v", took)
	}
	health := late.Health(t.Context())
	if len(health.Pools) != 2 || health.Pools[1].Reachable || !health.Pools[0].Reachable {
		t.Errorf("health %+v", health)
	}
	proxy.Refuse(false)
	eventually(t, "the pool is opened", func() bool { _, err := tryPost(late, k, "c"); return err == nil })
	if got := w.bodies(late, k); got != "a c" {
		t.Errorf("the queue has %q", got)
	}
}

// While the catalogue is away, queues in other pools work as far as they are known.
func TestCatalogueAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	r := w.routerAt(proxy.URL(), quick)
	one, _ := w.pool(r, "one", 0)
	k := w.place(r, "q", one)
	w.post(r, k, "a")
	head, err := r.Head(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Refuse(true)
	proxy.DropAll()
	ids := w.post(r, k, "b", "c")
	claim := w.claim(r, k, 1)
	if got := bodiesOf(claim.Messages); got != "a" {
		t.Errorf("claimed %q", got)
	}
	wantErr(t, "delete", remove(r, k, ids[:1]), nil)
	if page, err := r.Feed(t.Context(), k, head.QueueID, 0, 10, 1000); err != nil || page.Upto != 3 {
		t.Errorf("page %+v, %v", page, err)
	}
	if heads, err := r.Heads(t.Context(), []int64{head.QueueID}); err != nil || heads[head.QueueID] != 3 {
		t.Errorf("heads %v, %v", heads, err)
	}
	if created, err := r.CreateQueue(t.Context(), k, nil); err != nil || created {
		t.Errorf("making it again: %v, %v", created, err)
	}
	_, err = tryPost(r, key("unknown"), "a")
	wantErr(t, "an unknown queue", err, protocol.ErrUnavailable)
	if health := r.Health(t.Context()); health.CatalogReachable || health.Pools[0].Reachable || !health.Pools[1].Reachable {
		t.Errorf("health %+v", health)
	}
	proxy.Refuse(false)
	eventually(t, "the catalogue is back", func() bool { _, err := tryPost(r, key("unknown"), "a"); return err == nil })
}

// A deletion that was cut short is finished: by whoever asks for the queue, or by any gateway by and by.
func TestDeletionLeftOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	one := w.poolAt(r, "one", proxy.URL(), 0)
	ctx := t.Context()
	begin := func(name string) (protocol.QueueKey, int64) {
		k := w.place(r, name, one)
		ids := w.post(r, k, "old")
		wantErr(t, "begin", r.catalogue.Remove(ctx, ids[0].Queue), nil)
		return k, ids[0].Queue
	}
	for name, use := range map[string]func(*Router, protocol.QueueKey) error{
		"read":   func(r *Router, k protocol.QueueKey) error { _, err := r.Queue(ctx, k); return err },
		"delete": func(r *Router, k protocol.QueueKey) error { return r.DeleteQueue(ctx, k) },
		"stats":  func(r *Router, k protocol.QueueKey) error { _, err := r.QueueStats(ctx, k); return err },
	} {
		k, _ := begin("left-" + name)
		wantErr(t, name, use(w.router(slow), k), protocol.ErrNoQueue)
	}
	k, old := begin("again")
	ids := w.post(w.router(slow), k, "new")
	if ids[0].Queue <= old {
		t.Errorf("the new queue has id %d, the old one had %d", ids[0].Queue, old)
	}
	if got := w.bodies(w.router(slow), k); got != "new" {
		t.Errorf("the queue has %q", got)
	}

	begin("later")
	w.router(quick)
	db := w.db(w.url)
	eventually(t, "the deletion is finished", func() bool {
		return w.number(db, `SELECT count(*) FROM queue WHERE removed_at IS NOT NULL`) == 0
	})

	// One that fails half way is not forgotten.
	k = w.place(r, "cut", one)
	w.post(r, k, "old")
	fired := proxy.DropBeforeSync(storetest.Match{SQL: "commit"})
	err := r.DeleteQueue(ctx, k)
	wantErr(t, "a deletion that is cut", err, protocol.ErrOutcomeUnknown)
	<-fired
	if list, err := r.Queues(ctx, protocol.QueuePage{Project: "p", Name: "cut", Limit: 1}); err != nil || len(list) != 0 {
		t.Errorf("the deleted queue is listed: %v, %v", list, err)
	}
	wantErr(t, "repeat it", r.DeleteQueue(ctx, k), nil)
}

// While a pool is away its queues cannot be deleted, and nothing is begun.
func TestDeleteWhileAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	k := w.place(r, "q", w.poolAt(r, "one", proxy.URL(), 0))
	w.post(r, k, "a")
	proxy.Refuse(true)
	proxy.DropAll()
	wantErr(t, "delete", r.DeleteQueue(t.Context(), k), protocol.ErrUnavailable)
	proxy.Refuse(false)
	eventually(t, "the pool is back", func() bool { return w.members(r, "one").Ping(t.Context()) == nil })
	if got := w.bodies(r, k); got != "a" {
		t.Errorf("the queue has %q", got)
	}
}

func (w *world) members(r *Router, name string) *store.Store {
	for _, m := range r.members.Load().others {
		if m.row.Name == name {
			return m.store.Load()
		}
	}
	w.t.Fatalf("no pool %s", name)
	return nil
}

// What stands on the way when the Router stops is answered.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	keys := []protocol.QueueKey{w.place(r, "a", 0), w.place(r, "b", one), key("missing")}
	var waits []waiter
	for i := range 3000 {
		k := keys[i%len(keys)]
		_, done := startPost(r, k, "x")
		claimed := make(waiter)
		r.Claim(&protocol.ClaimOp{Queue: k, Limit: 1, TTL: 60, Grace: 60, Waiter: claimed})
		waits = append(waits, done, claimed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r.Stop(ctx)
	for _, done := range waits {
		select {
		case <-done:
		case <-ctx.Done():
			t.Fatal("an operation was not answered")
		}
	}
	r.Stop(ctx)
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, url := w.pool(r, "one", 0)
	k := w.place(r, "q", one)
	w.post(r, k, "a", "b", "c")
	w.claim(r, k, 2)
	left := protocol.QueueKey{Project: healthProject, Name: healthPrefix + "left"}
	st := w.members(r, "one")
	if _, err := st.Adopt(t.Context(), left, firstHealthID+5, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	db := w.db(url)
	w.exec(db, `UPDATE queue SET created_at = now() - interval '1 h' WHERE id = $1`, firstHealthID+5)
	health := r.Health(t.Context())
	if !health.CatalogReachable || len(health.Pools) != 2 {
		t.Fatalf("health %+v", health)
	}
	for _, p := range health.Pools {
		var names []string
		for _, op := range p.Operations {
			names = append(names, op.Name)
			if !op.Succeeded || op.Seconds <= 0 || op.Ref != "" {
				t.Errorf("%s: %+v", p.Name, op)
			}
		}
		want := "create_queue post_messages claim_messages list_messages delete_messages delete_claim bulk_delete_messages delete_queue"
		if got := strings.Join(names, " "); got != want || !p.Reachable {
			t.Errorf("%s: operations %q", p.Name, got)
		}
	}
	if p := health.Pools[1]; p.Total != 3 || p.Claimed != 2 || p.Free != 1 {
		t.Errorf("volume %+v", p)
	}
	for _, db := range []string{w.url, url} {
		if n := w.number(w.db(db), `SELECT count(*) FROM queue WHERE project = ''`); n != 0 {
			t.Errorf("%d queues of health checks are left", n)
		}
	}
}

// Attachments see every pool come and go, the default one too.
func TestAttach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := store.DefaultConfig()
	base.DatabaseURL, base.MaxConns = w.url, 4
	cfg := DefaultConfig()
	quick(&cfg)
	r, err := Open(t.Context(), cfg, Parts{Store: base}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, what)
	}
	err = r.Start(func(p Attached) (Attachment, error) {
		note("attach " + p.Name)
		return Attachment{
			Drain:  func(context.Context) { note("drain " + p.Name) },
			Detach: func(context.Context) { note("detach " + p.Name) },
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pool(r, "one", 1)
	wantErr(t, "delete", r.DeletePool(t.Context(), "one"), nil)
	eventually(t, "the pool is closed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) == 4
	})
	r.Stop(t.Context())
	want := "attach default,attach one,drain one,detach one,drain default,detach default"
	if got := strings.Join(events, ","); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
