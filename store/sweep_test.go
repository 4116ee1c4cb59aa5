package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// sweeping sets a sweeper to work at the pace of a test.
func sweeping(c *Config) {
	c.SweepInterval, c.SweepFullInterval, c.SweepShare, c.SweepRows = testPoll, 100*time.Millisecond, 100, 10
}

// sweepNow makes passes of a sweeper, which takes the lease from whoever has it, until they find no more.
func (w *world) sweepNow(s *Store) {
	w.t.Helper()
	w.exec(`UPDATE lease SET until = now() WHERE holder <> $1`, s.GatewayID())
	sweeper := newSweeper(s)
	for range 2 { // what one step leaves may be another's that came earlier
		for {
			more, err := sweeper.sweepHeads(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
			if !more {
				break
			}
		}
		if _, err := sweeper.sweepAll(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// still is a store whose own sweeper does nothing in a test's time.
func still(c *Config) { c.SweepInterval, c.SweepFullInterval = time.Hour, time.Hour }

func (w *world) stats(s *Store, key protocol.QueueKey) protocol.QueueStats {
	w.t.Helper()
	stats, err := s.QueueStats(context.Background(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return stats
}

func TestSweepExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", sweeping)
	key := newKey()
	w.post(s, key, 100)
	w.exec(`UPDATE message SET expires_at = now() WHERE seq <= 55 OR seq = 80`) // a head of several batches, and one behind live ones
	w.await(44, `SELECT count(*) FROM message`)
	w.await(56, `SELECT sum(removed) FROM queue_count`)
	w.await(80, `SELECT max(expired_upto) FROM queue_count`)
	if got := w.stats(s, key); got.Total != 44 || got.Oldest == nil || got.Oldest.Seq != 56 || got.Newest.Seq != 100 {
		t.Errorf("stats: %+v", got)
	}
}

func TestSweepPurged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	key := newKey()
	w.post(s, key, 100)
	p, done := delayed(key, 600, 600)
	s.Post(p)
	<-done
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot, removed) VALUES (1, 0, 77, 5)`)
	if err := s.PurgeQueue(t.Context(), key, true, false); err != nil {
		t.Fatal(err)
	}
	if got := w.stats(s, key); got != (protocol.QueueStats{}) {
		t.Errorf("stats right after the purge: %+v", got)
	}
	w.post(s, key, 3)
	if got := w.stats(s, key); got.Total != 3 || got.Free != 3 || got.Oldest.Seq != 101 {
		t.Errorf("stats: %+v", got)
	}
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM message`); n != 3 {
		t.Errorf("%d messages after the sweep", n)
	}
	if n := w.number(`SELECT count(*) FROM queue_count WHERE epoch = 0 OR removed <> 0`); n != 0 {
		t.Errorf("%d rows count what was purged", n)
	}
	if got := w.stats(s, key); got.Total != 3 {
		t.Errorf("stats after the sweep: %+v", got)
	}
}

func TestSweepTombstones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { still(c); c.TombstoneHorizon = time.Minute })
	key := newKey()
	w.post(s, key, 10)
	// 1 to 4 were consumed, 3 and 4 just now; whoever made them tombstones counted them.
	w.exec(`UPDATE message SET claim_expires_at = 'infinity', claimed_at = now() - CASE WHEN seq <= 2 THEN interval '1 h' ELSE interval '0' END
		WHERE seq <= 4`)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot, removed) VALUES (1, 0, 77, 4)`)
	w.exec(`INSERT INTO gateway (id, lease_until) VALUES ($1, now() + interval '1 h')`, uuid.New())
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM message`); n != 8 {
		t.Errorf("%d rows, want 6 messages and 2 tombstones", n)
	}
	if got := w.stats(s, key); got.Total != 6 || got.Oldest.Seq != 5 {
		t.Errorf("stats: %+v", got)
	}
}

func TestSweepDroppedQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	for range 5 {
		key := newKey()
		w.post(s, key, 30)
		p, done := delayed(key, 600)
		s.Post(p)
		<-done
		if err := s.DeleteQueue(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	kept := newKey()
	w.post(s, kept, 3)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot) SELECT queue_id, 0, 1 FROM dropped_queue`)
	w.exec(`INSERT INTO queue_watch (queue_id, observed_until) SELECT queue_id, now() FROM dropped_queue`)
	w.sweepNow(s)
	for _, table := range []string{"inbox", "queue_count", "queue_watch", "dropped_queue"} {
		if n := w.number(`SELECT count(*) FROM ` + table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if n := w.number(`SELECT count(*) FROM message`); n != 3 {
		t.Errorf("%d messages are left", n)
	}
}

// A row that somebody holds is left for the next pass, with the mark.
func TestSweepDroppedQueueWithALockedRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	key := newKey()
	w.post(s, key, 5)
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM message WHERE seq = 3 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteQueue(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM message, dropped_queue`); n != 1 {
		t.Errorf("%d rows and marks are left", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sweepNow(s)
	if n := w.number(`SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM dropped_queue)`); n != 0 {
		t.Errorf("%d rows and marks are left in the end", n)
	}
}

func TestSweepPromoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { still(c); c.PromotePoll = testPoll })
	key := newKey()
	p, done := delayed(key, 600, 600, 600)
	s.Post(p)
	<-done
	w.due("id")
	w.await(3, `SELECT count(*) FROM promoted`)
	// 1 is still good; 2 has expired; 3 as well, but a claim's grace has given its message more time.
	w.exec(`UPDATE promoted SET expires_at = now() WHERE seq > 1`)
	w.exec(`UPDATE message SET expires_at = now() WHERE seq = 2`)
	w.sweepNow(s)
	if n := w.number(`SELECT sum(seq) FROM promoted p JOIN message m USING (queue_id, seq, expires_at)`); n != 4 {
		t.Errorf("the sum of what is left is %d, want 1 + 3", n)
	}
}

func TestSweepDeadGateways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	key := newKey()
	w.post(s, key, 10)
	dead, alive := uuid.New(), uuid.New()
	w.exec(`INSERT INTO gateway (id, lease_until) VALUES ($1, now() - interval '1 s'), ($2, now() + interval '1 h')`, dead, alive)
	for _, id := range []uuid.UUID{dead, alive, s.GatewayID(), uuid.New()} {
		w.exec(`INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, gateway_id)
			VALUES ($1, 'p', 'q', $2, 60, now() + interval '1 h', $3)`, uuid.New(), id.String(), id)
	}
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot, removed, claimed_upto) SELECT 1, 0, slot * 8 + n, n, n + 5 FROM gateway, generate_series(1, 2) n`)

	w.sweepNow(s) // it has only just come itself: it judges nobody
	if n := w.number(`SELECT count(*) FROM gateway`); n != 3 {
		t.Fatalf("%d gateways, want all 3: the sweeper may have been away itself", n)
	}
	s.member.steadySince.Store(0)
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM gateway WHERE id = $1`, dead); n != 0 {
		t.Error("the dead gateway is still there")
	}
	if n := w.number(`SELECT count(*) FROM subscription WHERE gateway_id IN ($1, $2)`, alive, s.GatewayID()); n != 2 {
		t.Errorf("%d subscriptions of living gateways, want 2", n)
	}
	if n := w.number(`SELECT count(*) FROM subscription`); n != 2 {
		t.Errorf("%d subscriptions in all, want 2", n)
	}
	if n := w.number(`SELECT sum(removed) FROM queue_count`); n != 9 {
		t.Errorf("the counts add up to %d, want 9 as before", n)
	}
	if n := w.number(`SELECT count(*) FROM queue_count n WHERE NOT EXISTS (SELECT FROM gateway g WHERE g.slot = n.slot / 8)`); n != 0 {
		t.Errorf("%d counts of dead gateways", n)
	}
	if n := w.number(`SELECT claimed_upto FROM queue_count WHERE slot = $1`, s.writer(writerSweep)); n != 7 {
		t.Errorf("claimed_upto is %d, want 7", n)
	}
}

func TestGatewayTakenForDeadComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { c.GatewayLease = 3 * time.Second })
	old := s.writer(writerSweep)
	w.exec(`DELETE FROM gateway`)
	w.await(1, `SELECT count(*) FROM gateway WHERE id = $1`, s.GatewayID())
	for s.writer(writerSweep) == old { // set right after its row is there
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if s.member.steady() {
		t.Error("it may judge others at once")
	}
}

func TestWorkLeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config := func(c *Config) { still(c); c.WorkLease = time.Second }
	a := workLease{s: w.store("", config), name: "test"}
	b := workLease{s: w.store("", config), name: "test"}
	hold := func(l *workLease, want bool) {
		t.Helper()
		if held, err := l.hold(t.Context()); err != nil || held != want {
			t.Fatalf("held: %v, %v", held, err)
		}
	}
	hold(&a, true)
	hold(&b, false)
	hold(&a, true)
	w.exec(`UPDATE lease SET until = now() - interval '1 s'`)
	hold(&b, true)
	if a.token >= b.token {
		t.Errorf("the token went from %d to %d", a.token, b.token)
	}
	w.exec(`UPDATE lease SET until = now() - interval '1 s'`)
	a.until = time.Time{} // it has been away
	hold(&a, true)
	if a.token != 3 {
		t.Errorf("the third holder's token is %d", a.token)
	}
}

func TestStopHandsOverWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config := func(c *Config) { sweeping(c); c.WorkLease = time.Hour }
	first := w.store("", config)
	w.await(1, `SELECT count(*) FROM lease WHERE holder = $1`, first.GatewayID())
	second := w.store("", config)
	first.Stop(t.Context())
	w.await(1, `SELECT count(*) FROM lease WHERE holder = $1`, second.GatewayID())
}

func TestPaceLeavesMostOfTheTime(t *testing.T) {
	t.Parallel()
	p := pace{interval: time.Second, share: 5}
	for _, c := range []struct {
		took time.Duration
		more bool
		want time.Duration
	}{
		{time.Millisecond, false, time.Second}, {time.Second, false, 19 * time.Second}, {time.Second, true, time.Second},
	} {
		p.done(c.took, c.more)
		if got := time.Until(p.next); got > c.want || got < c.want-time.Second/2 {
			t.Errorf("a rest of %v after %v (more: %v), want %v", got, c.took, c.more, c.want)
		}
	}
}
