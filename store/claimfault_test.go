package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// holders checks that no message is ever in two live claims.
type holders struct {
	t  *testing.T
	mu sync.Mutex
	of map[protocol.MessageID]string
}

func (h *holders) take(claim string, messages []protocol.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		if other, ok := h.of[m.ID]; ok {
			h.t.Errorf("%s is held by %s and %s", m.ID, other, claim)
		}
		h.of[m.ID] = claim
	}
}

// drop must come before the request that ends the hold: from then on another may have it.
func (h *holders) drop(messages []protocol.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		delete(h.of, m.ID)
	}
}

// work claims, renews, releases and deletes until the queue has stayed empty. Every operation may fail for want of the
// database; whatever its outcome, nothing may be held twice and nothing may be lost.
func (h *holders) work(s *Store, key protocol.QueueKey, worker int, left *atomic.Int64) {
	for round := 0; left.Load() > 0; round++ {
		op := tryClaim(s, key, 1+(worker+round)%7)
		if op.Err != nil || len(op.Messages) == 0 {
			continue
		}
		h.take(op.ClaimID, op.Messages)
		if round%3 == 0 {
			_ = s.RenewClaim(h.t.Context(), key, op.ClaimID, 300, 60) // its outcome does not matter here
		}
		h.drop(op.Messages)
		if round%5 == 0 && h.retry(func() error { return s.ReleaseClaim(h.t.Context(), key, op.ClaimID) }) == nil {
			continue
		}
		err := h.retry(func() error { return remove(s, key, true, idsOf(op.Messages), op.ClaimID) })
		if err != nil {
			h.t.Errorf("delete what is claimed: %v", err)
		}
		left.Add(-int64(len(op.Messages)))
	}
}

// retry repeats an operation while the database is away. All of them may be repeated after an unknown outcome.
func (h *holders) retry(op func() error) error {
	for {
		err := op()
		if !errors.Is(err, protocol.ErrUnavailable) && !errors.Is(err, protocol.ErrOutcomeUnknown) {
			return err
		}
	}
}

// Eight claimers on two gateways whose connections break before, during and after commits: no message has two
// holders, every message is consumed once, and what was claimed by statements of unknown outcome comes back.
func TestNeverTwoHoldersUnderFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	settings := func(c *Config) {
		c.StatementTimeout = 500 * time.Millisecond
		c.Claims.Spacing, c.Claims.Slice = 10*time.Millisecond, 64
	}
	safe := w.store("", settings)
	stores := []*Store{w.store(proxy.URL(), settings), w.store(proxy.URL(), settings)}
	key := newKey()
	const messages = 3000
	ids := w.post(safe, key, messages)
	var left atomic.Int64
	left.Store(messages)
	h := &holders{t: t, of: make(map[protocol.MessageID]string)}
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() { h.work(stores[i%2], key, i, &left) })
	}
	faults, stop := context.WithCancel(t.Context())
	var breaker sync.WaitGroup
	breaker.Go(func() {
		matches := []storetest.Match{
			{SQL: "claim_first = c.first"}, {SQL: "locked l"}, {SQL: "UPDATE message SET claim_expires_at", Nth: 1}, {Nth: 3},
		}
		drops := []func(storetest.Match) <-chan struct{}{proxy.DropAfterSync, proxy.DropBeforeSync, proxy.DropDuringSync}
		for i := 0; faults.Err() == nil; i++ {
			fired := drops[i%len(drops)](matches[i%len(matches)])
			select {
			case <-fired:
			case <-faults.Done():
			case <-time.After(50 * time.Millisecond): // nothing of that kind was sent
			}
		}
	})
	workers.Wait()
	stop()
	breaker.Wait()
	if n := w.number(`SELECT count(*) FROM message WHERE queue_id = $1`, ids[0].Queue); n != 0 {
		t.Errorf("%d messages left", n)
	}
	if n := w.removed(ids[0].Queue); n != messages {
		t.Errorf("%d messages counted as removed, want %d", n, messages)
	}
}

// The claims of a statement whose reply was lost are given back as soon as the database is there, and do not count.
func TestClaimOfUnknownOutcomeIsGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	seen := newWitness()
	cfg := DefaultConfig()
	cfg.DatabaseURL = proxy.URL()
	s, key := w.openWith(cfg, seen), newKey()
	w.post(s, key, 3)
	w.exec(`UPDATE message SET claim_expires_at = now() - interval '1 s'`)
	fired := proxy.DropAfterSync(storetest.Match{SQL: "claim_first = c.first"})
	op := tryClaim(s, key, 3)
	<-fired
	wantErr(t, "claim", op.Err, protocol.ErrOutcomeUnknown)
	<-seen.released
	again := w.claim(s, key, 3)
	wantSeqs(t, "claim of what was given back", again.Messages, 1, 2, 3)
	if again.Messages[0].ClaimCount != 0 {
		t.Errorf("a claim that nobody got counts: %d", again.Messages[0].ClaimCount)
	}
}

func TestClaimWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s, key := w.store(proxy.URL(), func(c *Config) { c.ConnectTimeout = 200 * time.Millisecond }), newKey()
	ids := w.post(s, key, 2)
	w.claim(s, key, 1)
	proxy.Refuse(true)
	proxy.DropAll()
	for range 20 { // the pool's broken connections are used up
		op := tryClaim(s, key, 1)
		if !errors.Is(op.Err, protocol.ErrUnavailable) && !errors.Is(op.Err, protocol.ErrOutcomeUnknown) {
			t.Fatalf("claim: %v", op.Err)
		}
	}
	err := remove(s, key, false, ids[1:])
	if !errors.Is(err, protocol.ErrUnavailable) && !errors.Is(err, protocol.ErrOutcomeUnknown) {
		t.Errorf("delete: %v", err)
	}
	proxy.Refuse(false)
	h := &holders{t: t}
	wantErr(t, "delete when it is back", h.retry(func() error { return remove(s, key, false, ids[1:]) }), nil)
	wantErr(t, "claim when it is back", h.retry(func() error { return tryClaim(s, key, 1).Err }), nil)
}

// A stop answers everything that waits.
func TestStopFinishesWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.Spacing, c.Claims.Workers = time.Hour, 1 }), newKey()
	w.post(s, key, 10)
	release := w.holdWorker(s, newKey())
	var claims []*protocol.ClaimOp
	var dones []told
	for range 12 {
		op, done := startClaim(s, key, 1, 60, 60)
		claims, dones = append(claims, op), append(dones, done)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop(context.Background()) // no bound: it must end by itself
	}()
	release()
	got := 0
	for i, done := range dones {
		<-done
		if err := claims[i].Err; err != nil {
			t.Errorf("claim that waited: %v", err)
		}
		got += len(claims[i].Messages)
	}
	<-stopped
	if got != 10 {
		t.Errorf("%d messages claimed, want 10", got)
	}
	wantErr(t, "claim after the stop", tryClaim(s, key, 1).Err, protocol.ErrStopping)
	wantErr(t, "delete after the stop", remove(s, key, false, nil), protocol.ErrStopping)
}

// Claims, deletes and dead letters at once on two gateways; the harness fails the run on any deadlock (40P01). At the
// end the counts are right.
func TestMixedClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*Store{w.store("", sweeping), w.store("", sweeping)}
	keys := []protocol.QueueKey{newKey(), newKey(), newKey()}
	dead := newKey()
	metadata := []byte(`{"_max_claim_count": 2, "_dead_letter_queue": "` + dead.Name + `"}`)
	for _, key := range keys[:2] {
		if _, err := stores[0].CreateQueue(t.Context(), key, metadata); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stores[0].Head(t.Context(), keys[1]); err != nil {
		t.Fatal(err)
	}
	var load sync.WaitGroup
	for i := range 8 {
		s := stores[i%2]
		load.Go(func() {
			for round := range 60 {
				key := keys[(i+round)%3]
				ids := w.post(s, key, 3)
				op := w.claim(s, key, 4)
				switch round % 4 {
				case 0:
					wantErr(t, "release", s.ReleaseClaim(t.Context(), key, op.ClaimID), nil)
				case 1:
					_ = s.RenewClaim(t.Context(), key, op.ClaimID, 300, 60)
					wantErr(t, "delete", remove(s, key, true, idsOf(op.Messages), op.ClaimID), nil)
				case 2:
					wantErr(t, "delete many", remove(s, key, false, ids), nil)
				case 3:
					_, err := s.PopMessages(t.Context(), key, 5)
					wantErr(t, "pop", err, nil)
				}
			}
		})
	}
	load.Wait()
	for _, key := range append(keys, dead) {
		stats, err := stores[0].QueueStats(t.Context(), key)
		wantErr(t, "stats", err, nil)
		rows := w.number(`SELECT count(*) FROM message m JOIN queue q ON q.id = m.queue_id
			WHERE q.name = $1 AND m.claim_expires_at < 'infinity'`, key.Name)
		if stats.Total != rows {
			t.Errorf("queue %s counts %d messages, has %d", key.Name, stats.Total, rows)
		}
	}
}
