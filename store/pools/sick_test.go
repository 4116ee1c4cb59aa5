package pools

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// promptly is what an operation may take that waits for no database that hangs, on a busy machine.
const promptly = time.Second

// A pool whose database hangs, with all connections open, holds up nobody: what is asked of it is answered at once, what
// is asked of all leaves it out, and neither reads in the background nor queues to be removed there wait for it.
func TestPoolHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.router(quick)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	sick := w.poolAt(maker, "sick", proxy.URL(), 0)
	well, _ := w.pool(maker, "well", 0)
	k, good := w.place(maker, "s", sick), w.place(maker, "w", well)
	var left []protocol.QueueKey
	for i := range 8 {
		left = append(left, w.place(maker, fmt.Sprintf("left%d", i), sick))
	}
	w.post(maker, k, "a")
	r := w.router(quick) // which does not know where the queues are
	head, err := r.Head(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	goodHead, err := r.Head(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}

	proxy.Freeze()
	defer proxy.Thaw()
	w.exec(w.db(w.url), `UPDATE queue SET removed_at = now() - interval '1 hour' WHERE name LIKE 'left%'`)
	feed := func(ctx context.Context) error {
		_, err := r.Feed(ctx, k, head.QueueID, 0, 10, 1000)
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wantErr(t, "a read under way", feed(ctx), protocol.ErrUnavailable)
	if ctx.Err() != nil {
		t.Fatal("a read under way was not ended when the pool was found not to answer")
	}

	var posts sync.WaitGroup
	defer posts.Wait()
	for _, k := range left {
		posts.Go(func() { _, _ = tryPost(r, k, "a") }) // which waits for the removal, as long as a post waits
	}
	for what, do := range map[string]func() error{
		"feed of the sick pool": func() error { return not(feed(ctx), protocol.ErrUnavailable) },
		"list of the sick pool": func() error {
			_, err := r.Messages(ctx, k, protocol.MessagePage{Limit: 1})
			return not(err, protocol.ErrUnavailable)
		},
		"list of queues": func() error {
			list, err := r.Queues(ctx, protocol.QueuePage{Project: "p", Limit: 2})
			if err == nil && len(list) != 2 {
				err = fmt.Errorf("%d queues", len(list))
			}
			return err
		},
		"heads": func() error {
			_, err := r.Heads(ctx, []int64{head.QueueID, goodHead.QueueID})
			return err
		},
		"post to a new queue":   func() error { _, err := tryPost(r, key("new"), "a"); return err },
		"post to the well pool": func() error { _, err := tryPost(r, good, "a"); return err },
	} {
		began := time.Now()
		err := do()
		if took := time.Since(began); err != nil || took > promptly {
			t.Errorf("%s: %v, after %v", what, err, took)
		}
	}

	proxy.Thaw()
	eventually(t, "the pool answers", func() bool { return feed(ctx) == nil })
	eventually(t, "the removals are finished", func() bool {
		return w.number(w.db(w.url), `SELECT count(*) FROM queue WHERE removed_at IS NOT NULL`) == 0
	})
}

// not returns nil if err is want.
func not(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("got error %v, want %w", err, want)
}

// Removals in one pool are finished although those in another, which come first, cannot be.
func TestRemovalsInPoolsApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	proxy := storetest.NewProxy(t, storetest.URL(t))
	sick := w.poolAt(r, "sick", proxy.URL(), 0)
	well, _ := w.pool(r, "well", 0)
	w.place(r, "a", sick)
	w.place(r, "b", well)
	proxy.Freeze()
	defer proxy.Thaw()
	w.exec(w.db(w.url), `UPDATE queue SET removed_at = now() - interval '1 hour'`)
	ctx, cancel := context.WithTimeout(t.Context(), promptly)
	defer cancel()
	r.finishRemovals(ctx, []int64{sick, well}, 0)
	if n := w.number(w.db(w.url), `SELECT count(*) FROM queue WHERE name = 'b'`); n != 0 {
		t.Error("the queue in the pool that answers is still there")
	}
}

// Posts that the store of a pool has when the pool gets another address stay ahead of those that come after.
func TestPostsKeepOrderWhenPoolMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(quick)
	url := storetest.URL(t)
	proxy := storetest.NewProxy(t, url)
	pool := w.poolAt(r, "moves", proxy.URL(), 0)
	k := w.place(r, "q", pool)
	w.post(r, k, "a")
	was := r.members.Load().byID[pool]

	proxy.Freeze()
	defer proxy.Thaw()
	_, first := startPost(r, k, "b")
	if _, err := r.UpdatePool(t.Context(), "moves", protocol.PoolChange{URI: &url}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pool is open at its new address", func() bool {
		m := r.members.Load().byID[pool]
		return m != was && m.store.Load() != nil
	})
	_, second := startPost(r, k, "c")
	w.post(r, w.place(r, "other", pool), "x") // by when the later post would have been stored
	proxy.Thaw()
	<-first
	<-second
	if got := w.bodies(r, k); got != "a b c" {
		t.Errorf("the queue has %q", got)
	}
}

// A pool that begins to hang in the middle of a health check is told of in the check's time, and what the check began there
// is gone when the pool answers again.
func TestHealthHangs(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"INSERT INTO message", "claim_expires_at", "DELETE FROM message"} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.router(func(cfg *Config) { slow(cfg); cfg.HealthTimeout = promptly })
			url := storetest.URL(t)
			proxy := storetest.NewProxy(t, url)
			pool := w.poolAt(r, "sick", proxy.URL(), 0)
			w.post(r, w.place(r, "q", pool), "a")
			held, release := proxy.HoldSync(storetest.Match{SQL: sql})
			defer release()
			frozen := make(chan struct{})
			go func() {
				defer close(frozen)
				<-held
				proxy.Freeze()
			}()
			began := time.Now()
			health := r.Health(t.Context())
			if took := time.Since(began); took > 3*promptly { // with the time to clean up
				t.Errorf("the check took %v", took)
			}
			release()
			<-frozen
			proxy.Thaw()
			failed := 0
			for _, op := range health.Pools[1].Operations {
				if !op.Succeeded {
					failed++
				}
			}
			if health.Pools[1].Name != "sick" || failed == 0 {
				t.Errorf("health %+v", health)
			}
			w.exec(w.db(url), `UPDATE queue SET created_at = created_at - interval '1 hour'`)
			eventually(t, "nothing is left behind", func() bool {
				r.Health(t.Context())
				return w.number(w.db(url), `SELECT count(*) FROM queue WHERE project = ''`) == 0
			})
		})
	}
}
