package store

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// delay posts messages with a delay of ten minutes, and returns their ids.
func (w *world) delay(s *Store, key protocol.QueueKey, n int) []protocol.MessageID {
	w.t.Helper()
	delays := make([]int32, n)
	for i := range delays {
		delays[i] = 600
	}
	p, done := delayed(key, delays...)
	s.Post(p)
	<-done
	if p.Err != nil {
		w.t.Fatal(p.Err)
	}
	return p.IDs
}

// noSweeper gives the sweeper's lease away before a store is opened, so that not even its first pass happens.
func (w *world) noSweeper() {
	w.t.Helper()
	w.exec(`INSERT INTO lease (name, holder, token, until) VALUES ('sweep', gen_random_uuid(), 1, now() + interval '1 h')`)
}

// A purge removes delayed messages for everybody at once, whether reaped or not, and those that come after it stay.
func TestPurgeOfDelayedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noSweeper()
	s := w.store("", func(c *Config) { still(c); c.PromotePoll = testPoll })
	ctx, key, other := t.Context(), newKey(), newKey()
	old := w.delay(s, key, 3)
	others := w.delay(s, other, 2)
	wantErr(t, "purge", s.PurgeQueue(ctx, key, true, false), nil)
	if n := w.number(`SELECT count(*) FROM inbox`); n != 5 {
		t.Errorf("the purge touched the inbox: %d rows are left", n)
	}
	fresh := w.delay(s, key, 2)
	if got := w.stats(s, key); got.Delayed != 2 || got.Total != 2 {
		t.Errorf("stats after the purge: %+v", got)
	}
	if _, err := s.Message(ctx, key, old[0].String()); !errors.Is(err, protocol.ErrNoMessage) {
		t.Errorf("a purged message: %v", err)
	}
	page := protocol.MessagePage{Limit: 10, Echo: true, IncludeDelayed: true}
	listed, err := s.Messages(ctx, key, page)
	if err != nil || len(listed) != 2 || listed[0].ID != fresh[0] {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	page.Marker = fresh[0].String()
	listed, err = s.Messages(ctx, key, page)
	if err != nil || len(listed) != 1 || listed[0].ID != fresh[1] {
		t.Errorf("listed after the first: %+v, %v", listed, err)
	}
	wantErr(t, "delete a purged message and another", remove(s, key, false, []protocol.MessageID{old[1], fresh[0]}), nil)
	if got := w.stats(s, key); got.Delayed != 1 {
		t.Errorf("stats after a delete: %+v", got)
	}
	if n := w.number(`SELECT count(*) FROM inbox WHERE id = $1`, old[1].N); n != 1 {
		t.Error("the delete took a purged row")
	}
	w.due("id")
	w.await(0, `SELECT count(*) FROM inbox`)
	if got := len(w.rows(key)); got != 1 {
		t.Errorf("%d messages were promoted, want 1", got)
	}
	for _, k := range []protocol.QueueKey{key, other} {
		w.checkStats(s, k, "in the end")
	}
	if got := len(w.rows(other)); got != len(others) {
		t.Errorf("%d messages of the other queue, want %d", got, len(others))
	}
}

// The sweeper removes what purges left in the inbox, in batches, and nothing else.
func TestSweepPurgedInbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noSweeper()
	s := w.store("", func(c *Config) { still(c); c.SweepRows = 10 })
	key, other := newKey(), newKey()
	w.delay(s, key, 35)
	w.delay(s, other, 3)
	wantErr(t, "purge", s.PurgeQueue(t.Context(), key, true, false), nil)
	w.delay(s, key, 2)
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM inbox`); n != 5 {
		t.Errorf("%d rows are left in the inbox, want 5", n)
	}
	w.checkStats(s, key, "after the sweep")
	w.checkStats(s, other, "the other queue")
}

// A purge waits for the delayed posts under way, which it purges; and a post that comes while it waits is stored under
// a higher id, and stays.
func TestPurgeMeetsDelayedPosts(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		w := newWorld(t)
		proxy := storetest.NewProxy(t, w.url)
		s, other := w.store(proxy.URL(), func(c *Config) { still(c); c.FlushSimpleQueues = simple }), w.store("", still)
		key := newKey()
		w.post(s, key, 1)
		held, release := proxy.HoldSync(storetest.Match{SQL: "INSERT INTO inbox"})
		p, done := delayed(key, 600, 600)
		s.Post(p)
		<-held
		w.await(2, `SELECT last_value FROM inbox_id_seq`) // the statements have been carried out, too
		purged := make(chan error, 1)
		go func() { purged <- other.PurgeQueue(context.Background(), key, true, false) }()
		for w.number(waiting) == 0 {
			if len(purged) > 0 {
				t.Fatalf("simple %d: the queue was purged under a flush", simple)
			}
		}
		release()
		<-done
		if err := <-purged; err != nil || p.Err != nil {
			t.Errorf("simple %d: the post: %v, the purge: %v", simple, p.Err, err)
		}
		if got := w.stats(other, key); got.Total != 0 {
			t.Errorf("simple %d: after the purge: %+v", simple, got)
		}
		w.delay(s, key, 1)
		w.checkStats(other, key, "after the next post")
	}
}

// waiting counts the sessions of the test's database that wait for a lock.
const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`

// A purge that waits for the counter purges also what is put into the inbox while it waits.
func TestPurgeMarksTheInboxUnderItsLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noSweeper()
	s, key := w.store("", still), newKey()
	id := w.post(s, key, 1)[0].Queue
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }() // over by then, unless the test has failed
	if _, err := tx.Exec(t.Context(), `SELECT FROM queue_seq FOR NO KEY UPDATE`); err != nil {
		t.Fatal(err)
	}
	purged := make(chan error, 1)
	go func() { purged <- s.PurgeQueue(context.Background(), key, true, false) }()
	w.await(1, waiting)
	if _, err := tx.Exec(t.Context(), `INSERT INTO inbox (queue_id, due_at, ttl, body) VALUES ($1, now() + interval '1 h', 60, '1')`, id); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "purge", <-purged, nil)
	w.checkStats(s, key, "after the purge")
}

// Purging, deleting and counting take no longer for any number of delayed messages: none of their statements reads one.
func TestManyDelayedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noSweeper()
	s := w.store("", func(c *Config) { still(c); c.PromotePoll = longPoll })
	key, dropped := newKey(), newKey()
	ids := w.delay(s, key, 1)
	w.delay(s, dropped, 1)
	w.exec(`INSERT INTO inbox (queue_id, due_at, ttl, body) SELECT id, now() + interval '1 h', 60, '1' FROM queue, generate_series(1, 20000)`)
	w.exec(`UPDATE queue_count SET delayed = 20001`)
	// Whoever read or removed the rows would wait for these locks.
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }() // the test's end comes before the pool's
	if _, err := tx.Exec(t.Context(), `LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	if got := w.stats(s, key); got.Delayed != 20001 {
		t.Errorf("%d delayed messages counted", got.Delayed)
	}
	wantErr(t, "purge", s.PurgeQueue(t.Context(), key, true, false), nil)
	wantErr(t, "delete", s.DeleteQueue(t.Context(), dropped), nil)
	if got := w.stats(s, key); got.Total != 0 || ids[0].N != 1 {
		t.Errorf("after the purge: %+v", got)
	}
}

// The promoter's connection fails in every way; every message is promoted once, in order, and counted.
func TestPromoterThroughFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	short := func(c *Config) {
		still(c)
		c.PromotePoll, c.PromoteRows, c.StatementTimeout, c.ConnectTimeout = testPoll, 10, 500*time.Millisecond, 300*time.Millisecond
	}
	s := w.store("", func(c *Config) { still(c); c.PromotePoll = longPoll })
	keys := []protocol.QueueKey{newKey(), newKey()}
	const each = 60
	for _, key := range keys {
		w.delay(s, key, each)
	}
	w.exec(`UPDATE inbox SET due_at = now() + interval '1 h'`)
	w.store(proxy.URL(), short) // the only one that polls
	promoted := func() int64 { return w.number(`SELECT count(*) FROM message`) }
	faults := []func(){
		func() { <-proxy.DropBeforeSync(storetest.Match{SQL: "DELETE FROM inbox"}) },
		func() { <-proxy.DropDuringSync(storetest.Match{SQL: "DELETE FROM inbox"}) },
		func() { <-proxy.DropAfterSync(storetest.Match{SQL: "DELETE FROM inbox"}) },
		func() { proxy.Delay(50 * time.Millisecond) },
		func() {
			held, release := proxy.HoldSync(storetest.Match{SQL: "DELETE FROM inbox"})
			<-held
			proxy.Freeze()
			release()
			time.AfterFunc(time.Second, proxy.Thaw) // longer than a statement may take
		},
		func() { proxy.Delay(0) },
	}
	for i, fault := range faults {
		want := int64(i+1) * 20
		w.exec(`UPDATE inbox SET due_at = now() - interval '1 h' + id * interval '1 ms' WHERE id IN (SELECT id FROM inbox ORDER BY id LIMIT $1)`,
			want-promoted())
		fault()
		w.await(want, `SELECT count(*) FROM message`)
	}
	w.await(0, `SELECT count(*) FROM inbox`)
	for _, key := range keys {
		for i, body := range w.rows(key) {
			if body != strconv.Itoa(i) {
				t.Fatalf("message %d of queue %v is %s", i, key, body)
			}
		}
		w.checkStats(s, key, "in the end")
	}
}
