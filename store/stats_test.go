package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestStatsOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	key := newKey()
	if _, err := s.QueueStats(t.Context(), key); !errors.Is(err, protocol.ErrNoQueue) {
		t.Errorf("a missing queue: %v", err)
	}
	if _, err := s.CreateQueue(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.stats(s, key); got != (protocol.QueueStats{}) {
		t.Errorf("an empty queue: %+v", got)
	}
}

// slowStats counts a queue by looking at everything.
func (w *world) slowStats(key protocol.QueueKey) (stats protocol.QueueStats, oldest, newest int64) {
	w.t.Helper()
	err := w.db.QueryRow(context.Background(), `
		WITH q AS (SELECT c.* FROM queue JOIN queue_seq c USING (id) WHERE project = $1 AND name = $2),
		live AS (SELECT m.* FROM message m, q WHERE m.queue_id = q.id AND m.seq > q.purged_upto
			AND m.expires_at > now() AND m.claim_expires_at <> 'infinity')
		SELECT count(*) FILTER (WHERE claim_expires_at > now()), count(*) FILTER (WHERE claim_expires_at <= now()),
			(SELECT count(*) FROM inbox i, q WHERE i.queue_id = q.id AND i.id > q.inbox_purged_upto), coalesce(min(seq), 0), coalesce(max(seq), 0) FROM live`,
		key.Project, key.Name).Scan(&stats.Claimed, &stats.Free, &stats.Delayed, &oldest, &newest)
	if err != nil {
		w.t.Fatal(err)
	}
	stats.Total = stats.Claimed + stats.Free + stats.Delayed
	return stats, oldest, newest
}

// checkStats compares QueueStats with the slow count.
func (w *world) checkStats(s *Store, key protocol.QueueKey, when string) {
	w.t.Helper()
	want, oldest, newest := w.slowStats(key)
	got := w.stats(s, key)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "Oldest", "Newest")); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	var gotOldest, gotNewest int64
	if got.Oldest != nil {
		gotOldest = got.Oldest.Seq
	}
	if got.Newest != nil {
		gotNewest = got.Newest.Seq
	}
	if gotOldest != oldest || gotNewest != newest {
		w.t.Errorf("%s: oldest %d and newest %d, want %d and %d", when, gotOldest, gotNewest, oldest, newest)
	}
}

// Random histories of everything that puts messages in or takes them out, on two gateways.
func TestStatsAreExact(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			config := func(c *Config) { still(c); c.StatsClaimedAge, c.PromotePoll, c.SweepRows = 0, testPoll, 10 }
			h := statsHistory{
				w: w, rng: rand.New(rand.NewPCG(seed, 1)), key: newKey(),
				stores: []*Store{w.store("", config), w.store("", config)},
			}
			h.s = h.stores[0]
			w.post(h.s, h.key, 5)
			for step := range 120 {
				h.s = h.stores[h.rng.IntN(2)]
				name := h.step()
				w.checkStats(h.stores[h.rng.IntN(2)], h.key, fmt.Sprint("step ", step, ", ", name))
				if t.Failed() {
					return
				}
			}
		})
	}
}

// statsHistory is a queue's random history.
type statsHistory struct {
	w      *world
	rng    *rand.Rand
	key    protocol.QueueKey
	stores []*Store
	s      *Store // of this step
	held   []*protocol.ClaimOp
}

func (h *statsHistory) step() (name string) {
	w, s := h.w, h.s
	switch h.rng.IntN(11) {
	case 0, 1:
		w.post(s, h.key, 1+h.rng.IntN(20))
		return "post"
	case 2:
		p, done := delayed(h.key, 600, 0, 600)
		s.Post(p)
		<-done
		return "delay"
	case 3:
		w.due("id")
		w.await(0, `SELECT count(*) FROM inbox`)
		return "promote"
	case 4, 5:
		h.held = append(h.held, w.claim(s, h.key, 1+h.rng.IntN(10)))
		return "claim"
	case 6:
		return h.consume()
	case 7:
		if _, err := s.PopMessages(w.t.Context(), h.key, 1+h.rng.IntN(5)); err != nil {
			w.t.Fatal(err)
		}
		return "pop"
	case 8:
		// The ages of the messages at the head are as with TTLs alike; the sweeper may or may not have been there.
		w.exec(`UPDATE message SET expires_at = now() WHERE seq <= (SELECT min(seq) + $1 FROM message
			WHERE expires_at > now() AND claim_expires_at < 'infinity')`, h.rng.IntN(6))
		if h.rng.IntN(2) == 0 {
			w.sweepNow(s)
			return "expire and sweep"
		}
		return "expire"
	case 9:
		if h.rng.IntN(3) == 0 {
			if err := s.PurgeQueue(w.t.Context(), h.key, true, false); err != nil {
				w.t.Fatal(err)
			}
			return "purge"
		}
		w.exec(`INSERT INTO queue_watch (queue_id, observed_until) SELECT id, now() + (random() - 0.5) * interval '1 h' FROM queue
			ON CONFLICT (queue_id) DO UPDATE SET observed_until = EXCLUDED.observed_until`)
		return "watch"
	default:
		w.exec(`UPDATE message SET claimed_at = now() - interval '1 h' WHERE claim_expires_at = 'infinity'`)
		w.sweepNow(s)
		return "sweep"
	}
}

// consume deletes, or gives back, what a claim holds.
func (h *statsHistory) consume() string {
	if len(h.held) == 0 {
		return "nothing"
	}
	i := h.rng.IntN(len(h.held))
	claim := h.held[i]
	h.held = append(h.held[:i], h.held[i+1:]...)
	if h.rng.IntN(2) == 0 || len(claim.Messages) == 0 {
		_ = h.s.ReleaseClaim(h.w.t.Context(), h.key, claim.ClaimID) // it may have ended with a purge
		return "release"
	}
	if err := remove(h.s, h.key, false, idsOf(claim.Messages)); err != nil {
		h.w.t.Fatal(err)
	}
	return "delete"
}

// The oldest message is found, call by call if need be, behind more consumed ones than one call looks at.
func TestStatsBehindManyTombstones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { still(c); c.StatsWalkRows = 10 })
	key := newKey()
	w.post(s, key, 1000)
	w.exec(`UPDATE message SET claim_expires_at = 'infinity', claimed_at = now() WHERE seq <= 990`)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot, removed) VALUES (1, 0, 0, 990)`)
	for {
		got := w.stats(s, key)
		if got.Total != 10 {
			t.Fatalf("total %d", got.Total)
		}
		if got.Oldest != nil {
			if got.Oldest.Seq != 991 {
				t.Errorf("the oldest is %d", got.Oldest.Seq)
			}
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("never found")
		}
	}
}

// BenchmarkStats counts a queue of a million messages, some of which are claimed.
func BenchmarkStats(b *testing.B) {
	url := durable(b)
	s := benchStore(b, url, func(c *Config) { c.SweepFullInterval = time.Hour; c.StatsClaimedAge = 0 })
	key := protocol.QueueKey{Project: "p", Name: "q"}
	info, err := s.resolve(b.Context(), key, true)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.pool.Exec(b.Context(), `INSERT INTO message (queue_id, seq, created_at, expires_at, claim_expires_at, ttl, body)
		SELECT $1, i, now(), now() + interval '1 h', CASE WHEN i <= 1000 THEN now() + interval '1 h' ELSE '-infinity' END, 3600, $2
		FROM generate_series(1, 1000000) i`, info.id, benchBody()); err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE queue_seq SET next_seq = 1000001 WHERE id = $1`,
		`INSERT INTO queue_count (queue_id, epoch, slot, claimed_upto) VALUES ($1, 0, 0, 5000)`,
	} {
		if _, err := s.pool.Exec(b.Context(), sql, info.id); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		stats, err := s.QueueStats(b.Context(), key)
		if err != nil || stats.Total != 1_000_000 || stats.Claimed != 1000 {
			b.Fatal(stats, err)
		}
	}
}

// What was answered through a gateway shows in its statistics at once, with the default settings, and a count that ran
// meanwhile is shared with nobody who asks afterwards.
func TestStatsFollowClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { still(c); c.StatsClaimedAge = 10 * time.Second }), newKey()
	w.post(s, key, 10)
	// As if counting took long, so that counts are kept for long.
	claimed := func(what string, want int64) {
		t.Helper()
		if got := w.stats(s, key); got.Claimed != want || got.Free != got.Total-want {
			t.Errorf("%s: %+v, want %d claimed", what, got, want)
		}
		s.claimed.mu.Lock()
		defer s.claimed.mu.Unlock()
		for _, count := range s.claimed.queues {
			count.until = time.Now().Add(time.Hour)
		}
	}
	claimed("at first", 0)
	claim := w.claim(s, key, 6)
	claimed("after a claim", 6)
	wantErr(t, "renew", s.RenewClaim(t.Context(), key, claim.ClaimID, 600, 60), nil)
	claimed("after a renewal", 6)
	wantErr(t, "delete", remove(s, key, true, idsOf(claim.Messages[:2]), claim.ClaimID), nil)
	claimed("after a delete", 4)
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, claim.ClaimID), nil)
	claimed("after a release", 0)
	w.claim(s, key, 3)
	claimed("after another claim", 3)
	wantErr(t, "purge", s.PurgeQueue(t.Context(), key, true, false), nil)
	claimed("after a purge", 0)
}

// While nothing changes through this gateway a count is kept, for a while that goes with what it cost.
func TestStatsKeepClaimedCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s, key := w.store(proxy.URL(), func(c *Config) { still(c); c.StatsClaimedAge = 10 * time.Second }), newKey()
	id := w.post(s, key, 10)[0].Queue
	w.claim(s, key, 2)
	kept := func() time.Duration {
		w.stats(s, key)
		s.claimed.mu.Lock()
		defer s.claimed.mu.Unlock()
		return time.Until(s.claimed.queues[id].until)
	}
	proxy.Delay(700 * time.Millisecond)
	if got := kept(); got < 5*time.Second || got > 10*time.Second {
		t.Errorf("an expensive count is kept for %v", got)
	}
	proxy.Delay(0)
	w.exec(`UPDATE message SET claim_expires_at = now()`) // as another gateway would
	if got := w.stats(s, key); got.Claimed != 2 {
		t.Errorf("counted again: %+v", got)
	}
	s.claimed.forget(id)
	if got := kept(); got > 5*time.Second {
		t.Errorf("a cheap count is kept for %v", got)
	}
}

// A count that began before a claim was answered is not what those get who ask after it; they share the next one.
func TestStatsDoNotShareOldCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s, key := w.store(proxy.URL(), still), newKey()
	id := w.post(s, key, 10)[0].Queue
	w.claim(s, key, 1)
	held, release := proxy.HoldSync(storetest.Match{SQL: sqlClaimed})
	early, counts := make(chan int64, 1), make(chan int64, 2)
	ask := func(answer chan<- int64) {
		n, err := s.claimed.of(context.Background(), id)
		if err != nil {
			t.Error(err)
		}
		answer <- n
	}
	go ask(early)
	<-held
	w.claim(s, key, 4)
	go ask(counts)
	go ask(counts)
	for waiting := false; !waiting; {
		s.claimed.mu.Lock()
		waiting = s.claimed.queues[id].next != nil
		s.claimed.mu.Unlock()
	}
	release()
	// Who asked before the second claim gets what the server counted ahead of it or after.
	if n := <-early; n != 1 && n != 5 {
		t.Errorf("counted %d claimed messages, want 1 or 5", n)
	}
	for range 2 {
		if n := <-counts; n != 5 {
			t.Errorf("counted %d claimed messages, want 5", n)
		}
	}
}

// The oldest and the newest message say who holds them.
func TestStatsShowClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	w.post(s, key, 3)
	claim := w.claim(s, key, 1)
	got := w.stats(s, key)
	if got.Oldest == nil || got.Oldest.ClaimID != claim.ClaimID || got.Newest == nil || got.Newest.ClaimID != "" {
		t.Errorf("oldest %+v and newest %+v, want claim %s of the oldest", got.Oldest, got.Newest, claim.ClaimID)
	}
}
