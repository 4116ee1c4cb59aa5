package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// allowed says whether an operation may end so while connections break and queues come and go.
func allowed(err error) bool {
	for _, e := range []error{
		protocol.ErrNoQueue, protocol.ErrNoClaim, protocol.ErrNoMessage, protocol.ErrNoSubscription, protocol.ErrSubscriptionExists,
		protocol.ErrUnavailable, protocol.ErrOutcomeUnknown, protocol.ErrNotClaimed, protocol.ErrNotClaimedBy,
		protocol.ErrClaimed, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err == nil
}

// worst returns the first error that is not allowed.
func worst(errs ...error) error {
	for _, err := range errs {
		if !allowed(err) {
			return err
		}
	}
	return nil
}

// Everything at once on the same few queues, through a gateway whose connections break, hang and lag, and through one
// whose do not. PostgreSQL never has to break a deadlock (TestMain looks for that in the server's log), every operation
// ends, and in the end every count is right.
func TestEverythingAtOnceThroughFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	config := func(simple int) func(*Config) {
		return func(c *Config) {
			sweeping(c)
			c.FlushSimpleQueues, c.FlushRows, c.PromotePoll = simple, 30, testPoll
			c.StatementTimeout, c.ConnectTimeout, c.Claims.Timeout = time.Second, 500*time.Millisecond, time.Second
			c.Claims.Spacing = 10 * time.Millisecond
		}
	}
	stores := []*Store{w.store(proxy.URL(), config(2)), w.store("", config(2))}
	keys := make([]protocol.QueueKey, 5)
	for i := range keys {
		keys[i] = newKey()
		metadata := `{"_max_claim_count": 2, "_dead_letter_queue": "` + deadLetterName(keys, i) + `"}`
		if _, err := stores[1].CreateQueue(t.Context(), keys[i], []byte(metadata)); err != nil {
			t.Fatal(err)
		}
	}
	faults, stop := context.WithCancel(t.Context())
	var breaker, load sync.WaitGroup
	breaker.Go(func() { breakThings(faults, proxy) })
	for n := range 16 {
		load.Go(func() {
			for i := range 30 {
				op := mixedOps[n%len(mixedOps)]
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				err := op(ctx, &mixedStepOf{s: stores[n/len(mixedOps)%2], key: keys[(n+i)%len(keys)], other: keys[(n+i*3+1)%len(keys)], i: i})
				cancel()
				if !allowed(err) {
					t.Errorf("operation %d, round %d: %v", n%len(mixedOps), i, err)
				}
			}
		})
	}
	load.Wait()
	stop()
	breaker.Wait()
	for _, key := range keys {
		w.settle(stores[1], key)
	}
}

// settle waits until what hung has ended, and every count is right.
func (w *world) settle(s *Store, key protocol.QueueKey) {
	w.t.Helper()
	var stats, want protocol.QueueStats
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var err error
		if stats, err = s.QueueStats(w.t.Context(), key); errors.Is(err, protocol.ErrNoQueue) {
			return
		}
		want, _, _ = w.slowStats(key)
		if err == nil && stats.Total == want.Total && stats.Delayed == want.Delayed {
			return
		}
	}
	w.t.Errorf("queue %s counts %+v and has %+v", key.Name, stats, want)
}

// breakThings breaks the proxy's connections in turn until ctx ends.
func breakThings(ctx context.Context, proxy *storetest.Proxy) {
	defer proxy.Thaw()
	defer proxy.Delay(0)
	rest := func(d time.Duration) { _ = sleep(ctx, d) } // its error is the end of ctx
	for i := 0; ctx.Err() == nil; i++ {
		switch i % 6 {
		case 0:
			proxy.DropBeforeSync(storetest.Match{Nth: 2})
		case 1:
			proxy.DropDuringSync(storetest.Match{Nth: 3})
		case 2:
			proxy.DropAfterSync(storetest.Match{Nth: 2, SQL: "queue_seq"})
		case 3:
			proxy.Delay(20 * time.Millisecond)
		case 4:
			proxy.Freeze()
			rest(100 * time.Millisecond)
			proxy.Thaw()
		case 5:
			proxy.Delay(0)
			proxy.DropAll()
		}
		rest(100 * time.Millisecond)
	}
}

// mixedStepOf is one operation's round.
type mixedStepOf struct {
	s          *Store
	key, other protocol.QueueKey
	i          int
}

var mixedOps = []func(context.Context, *mixedStepOf) error{
	func(_ context.Context, m *mixedStepOf) error { // posts
		p, done := delayed(m.key, 0, 1, 0)
		m.s.Post(p)
		q, doneToo := newPost(m.other, "a", "b", "c")
		m.s.Post(q)
		<-done
		<-doneToo
		return worst(p.Err, q.Err)
	},
	func(ctx context.Context, m *mixedStepOf) error { // claims
		op := tryClaim(m.s, m.key, 4)
		if op.Err != nil || len(op.Messages) == 0 {
			return op.Err
		}
		if err := m.s.RenewClaim(ctx, m.key, op.ClaimID, 300, 60); err != nil {
			return err
		}
		if _, err := m.s.ClaimByID(ctx, m.key, op.ClaimID); err != nil {
			return err
		}
		if m.i%3 == 0 {
			return m.s.ReleaseClaim(ctx, m.key, op.ClaimID)
		}
		return remove(m.s, m.key, true, idsOf(op.Messages), op.ClaimID)
	},
	func(ctx context.Context, m *mixedStepOf) error { // reads, and deletes of what was read
		page, err := m.s.Messages(ctx, m.key, protocol.MessagePage{Limit: 5, Echo: true, IncludeClaimed: true, IncludeDelayed: true})
		if err != nil || len(page) == 0 {
			return err
		}
		if _, err := m.s.Message(ctx, m.key, page[0].ID.String()); err != nil {
			return err
		}
		if _, err := m.s.MessagesByID(ctx, m.key, []string{page[0].ID.String(), page[len(page)-1].ID.String()}); err != nil {
			return err
		}
		return remove(m.s, m.key, m.i%2 == 0, idsOf(page))
	},
	func(ctx context.Context, m *mixedStepOf) error { // subscribers
		head, err := m.s.Head(ctx, m.key)
		if err != nil {
			return err
		}
		sub := &protocol.Subscription{ID: uuid.New(), Queue: m.key, Subscriber: "s", TTL: 60, Socket: true}
		if err := m.s.CreateSubscription(ctx, sub, false); err != nil {
			return err
		}
		if _, err := m.s.Feed(ctx, m.key, head.QueueID, max(0, head.Last-5), 10, 1<<20); err != nil {
			return err
		}
		if _, err := m.s.Subscriptions(ctx, m.key, "", 10); err != nil {
			return err
		}
		err = m.s.Observe(ctx, []int64{head.QueueID, head.QueueID + 1})
		_, readErr := m.s.Subscription(ctx, m.key, sub.ID)
		return worst(err, readErr)
	},
	func(ctx context.Context, m *mixedStepOf) error { // what changes queues
		switch {
		case m.i%10 == 9:
			return m.s.DeleteQueue(ctx, m.key)
		case m.i%5 == 4:
			return m.s.PurgeQueue(ctx, m.key, true, m.i%2 == 0)
		case m.i%3 == 2:
			_, err := m.s.PopMessages(ctx, m.key, 3)
			return err
		default:
			_, err := m.s.QueueStats(ctx, m.key)
			return err
		}
	},
}

// Claims and deletes whose connections hang or lag are answered in time, with an outcome that is true; afterwards
// nothing is held twice and nothing is lost.
func TestClaimsAndDeletesThroughHangs(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(*storetest.Proxy)
	}{
		"frozen":  {(*storetest.Proxy).Freeze, (*storetest.Proxy).Thaw},
		"delayed": {func(p *storetest.Proxy) { p.Delay(300 * time.Millisecond) }, func(p *storetest.Proxy) { p.Delay(0) }},
		"delayed beyond the time of a statement": {
			func(p *storetest.Proxy) { p.Delay(2 * time.Second) }, func(p *storetest.Proxy) { p.Delay(0) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			proxy := storetest.NewProxy(t, w.url)
			s := w.store(proxy.URL(), func(c *Config) {
				still(c)
				c.StatementTimeout, c.ConnectTimeout, c.Claims.Timeout = time.Second, 500*time.Millisecond, time.Second
				c.Claims.Spacing = 10 * time.Millisecond
			})
			key := newKey()
			ids := w.post(s, key, 20)
			h := &holders{t: t, of: make(map[protocol.MessageID]string)}
			held := w.claim(s, key, 5)
			h.take(held.ClaimID, held.Messages)
			fault.begin(proxy)
			began := time.Now()
			op, claimed := startClaim(s, key, 5, 300, 60)
			err := remove(s, key, true, idsOf(held.Messages), held.ClaimID)
			<-claimed
			if !allowed(err) || !allowed(op.Err) {
				t.Errorf("claim: %v, delete: %v", op.Err, err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("answered after %v", took)
			}
			fault.end(proxy)
			if op.Err == nil {
				h.take(op.ClaimID, op.Messages)
			}
			h.drop(held.Messages)
			wantErr(t, "delete again", h.retry(func() error { return remove(s, key, false, idsOf(held.Messages)) }), nil)
			// What the claim of unknown outcome took comes back.
			left := 15
			if op.Err == nil {
				left -= len(op.Messages)
			}
			for left > 0 {
				next := tryClaim(s, key, 20)
				if next.Err == nil && len(next.Messages) > 0 {
					h.take(next.ClaimID, next.Messages)
					left -= len(next.Messages)
				}
			}
			w.settle(s, key)
			if n := w.removed(ids[0].Queue); n != 5 {
				t.Errorf("%d counted as removed, want 5", n)
			}
		})
	}
}
