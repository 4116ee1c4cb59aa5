package store

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol"
)

// waits says whether n other connections to the database come to wait for a lock before done is ready.
func waits[T any](w *world, n int64, done <-chan T) bool {
	w.t.Helper()
	for w.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) < n {
		if len(done) > 0 || w.t.Context().Err() != nil {
			return false
		}
	}
	return true
}

// hold runs SQL in a transaction that stays open until the returned function commits it.
func (w *world) hold(sql string, args ...any) (commit func()) {
	w.t.Helper()
	tx, err := w.db.BeginTx(context.WithoutCancel(w.t.Context()), pgx.TxOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		if err := tx.Commit(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	}
}

// startHook makes a durable subscription in the background.
func startHook(t *testing.T, s *Store, key protocol.QueueKey) (*protocol.Subscription, chan error) {
	sub, done := &protocol.Subscription{Queue: key, Subscriber: "http://h/", TTL: 3600, Confirmed: true}, make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { done <- s.CreateSubscription(ctx, sub, false) }()
	return sub, done
}

// A flush that has numbered its messages, but not committed them, comes before the subscription: its messages are not
// delivered, and none after them is left out.
func TestCreateAwaitsFlush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	ids := w.post(s, key, 3)
	commit := w.hold(`WITH n AS (UPDATE queue_seq SET next_seq = next_seq + 1 WHERE id = $1)
		INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body) VALUES ($1, 4, now(), now() + interval '1 h', 60, '0')`, ids[0].Queue)
	sub, done := startHook(t, s, key)
	if !waits(w, 1, done) {
		t.Error("the subscription did not wait for the flush")
	}
	commit()
	wantErr(t, "create", <-done, nil)
	if d := w.lease(s, sub.ID); d.Cursor != 4 || d.QueueID != ids[0].Queue {
		t.Errorf("cursor %d of queue %d, want 4 of %d", d.Cursor, d.QueueID, ids[0].Queue)
	}
}

// A message that is posted while a subscription is being made, and consumed at once, is either before the cursor or
// leaves a tombstone behind it.
func TestCreateLeavesNoWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	ids := w.post(s, key, 1)
	// The subscription cannot note that the queue is observed until this commits, after it has read the cursor.
	w.exec(`INSERT INTO queue_watch (queue_id, observed_until) VALUES ($1, now() - interval '1 h')`, ids[0].Queue)
	commit := w.hold(`SELECT FROM queue_watch WHERE queue_id = $1 FOR UPDATE`, ids[0].Queue)
	sub, done := startHook(t, s, key)
	waits(w, 1, done)
	posted := make(answered, 1)
	s.Post(&protocol.Post{Queue: key, ClientID: poster, Messages: []protocol.NewMessage{{Body: []byte("1"), TTL: 60}}, Waiter: posted})
	if !waits(w, 2, posted) { // the post did not wait for the subscription
		if got, err := s.PopMessages(t.Context(), key, 10); err != nil || len(got) != 2 {
			t.Errorf("popped %+v, %v", got, err)
		}
	}
	commit()
	wantErr(t, "create", <-done, nil)
	<-posted
	if got, err := s.PopMessages(t.Context(), key, 10); err != nil || len(got) > 2 {
		t.Errorf("popped %+v, %v", got, err)
	}
	d := w.lease(s, sub.ID)
	page, err := s.Feed(t.Context(), key, d.QueueID, d.Cursor, 10, 1<<20)
	if err != nil || len(page.Gaps) != 0 || page.Upto != 2 || int64(len(page.Messages)) != 2-d.Cursor {
		t.Errorf("from cursor %d: %+v, %v", d.Cursor, page, err)
	}
}

// answered is a Waiter with room for its answer.
type answered chan struct{}

func (w answered) Done() { w <- struct{}{} }

func (answered) Flush() {}

// Subscriptions are made while messages are posted and consumed at full speed: each gets every message after its cursor.
func TestCreateAmongPosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posterOf, consumer, s := w.store("", still), w.store("", still), w.store("", still)
	key, ctx := newKey(), t.Context()
	first := w.post(posterOf, key, 1)[0].Queue
	var over atomic.Bool
	var all errgroup.Group
	for range 2 {
		all.Go(func() error {
			for !over.Load() {
				w.post(posterOf, key, 3)
			}
			return nil
		})
		all.Go(func() error {
			for !over.Load() {
				if _, err := consumer.PopMessages(ctx, key, 20); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range 40 {
		sub := &protocol.Subscription{Queue: key, Subscriber: fmt.Sprint("http://h/", i), TTL: 3600, Confirmed: true}
		wantErr(t, "create", s.CreateSubscription(ctx, sub, false), nil)
		after := w.post(posterOf, key, 1)[0].N
		d := w.lease(s, sub.ID)
		if d.QueueID != first || d.Cursor >= after {
			t.Errorf("cursor %d of queue %d: message %d was posted after the answer", d.Cursor, d.QueueID, after)
		}
		page, err := s.Feed(ctx, key, d.QueueID, d.Cursor, 10_000, 1<<20)
		if err != nil || len(page.Gaps) != 0 || int64(len(page.Messages)) != page.Upto-d.Cursor || page.Upto < after {
			t.Fatalf("feed from %d: %d messages, gaps %+v, up to %d, %v", d.Cursor, len(page.Messages), page.Gaps, page.Upto, err)
		}
		// Without a subscription the queue deletes for real again, which the next one has to notice.
		wantErr(t, "delete", s.DeleteSubscription(ctx, key, sub.ID), nil)
		w.exec(`UPDATE queue_watch SET observed_until = now() - interval '1 s'`)
	}
	over.Store(true)
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// consume deletes messages and lets the horizon pass.
func (w *world) consume(s *Store, key protocol.QueueKey, ids []protocol.MessageID) {
	w.t.Helper()
	wantErr(w.t, "delete", remove(s, key, false, ids), nil)
	w.exec(`UPDATE message SET claimed_at = now() - interval '1 d' WHERE claim_expires_at = 'infinity'`)
}

func (w *world) wantMessages(what string, s *Store, want int64) {
	w.t.Helper()
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM message`); n != want {
		w.t.Errorf("%s: %d messages and tombstones, want %d", what, n, want)
	}
}

// Consumed messages stay until every durable subscriber has got them.
func TestTombstonesForCursors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	one := w.lease(s, w.hook(s, key, "one").ID)
	two := w.lease(s, w.hook(s, key, "two").ID)
	w.consume(s, key, w.post(s, key, 10))
	w.wantMessages("nothing delivered", s, 10)
	if stats := w.stats(s, key); stats.Total != 0 {
		t.Errorf("tombstones are counted: %+v", stats)
	}
	save := func(d *protocol.Durable, cursor int64) {
		t.Helper()
		wantErr(t, "save", s.SaveProgress(ctx, d.Lease, protocol.Progress{QueueID: d.QueueID, Cursor: cursor}), nil)
	}
	save(one, 8)
	w.wantMessages("one of two delivered", s, 10)
	save(two, 5)
	w.wantMessages("both delivered some", s, 5)
	page, err := s.Feed(ctx, key, two.QueueID, 5, 100, 1<<20)
	if err != nil || len(page.Messages) != 5 || len(page.Gaps) != 0 {
		t.Errorf("feed: %+v, %v", page, err)
	}
	w.exec(`UPDATE message SET expires_at = now() WHERE seq = 6`)
	w.wantMessages("one expired", s, 4)
	wantErr(t, "delete", s.DeleteSubscription(ctx, key, two.ID), nil)
	w.wantMessages("the slow one is gone", s, 2)
	w.exec(`UPDATE subscription SET expires_at = now() WHERE id = $1`, one.ID)
	w.wantMessages("the other one has expired", s, 0)
}

// A purge takes tombstones too, whatever the cursors.
func TestPurgeTombstonesForCursors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	d := w.lease(s, w.hook(s, key, "one").ID)
	w.consume(s, key, w.post(s, key, 10))
	wantErr(t, "purge", s.PurgeQueue(t.Context(), key, true, false), nil)
	w.wantMessages("purged", s, 0)
	page, err := s.Feed(t.Context(), key, d.QueueID, d.Cursor, 100, 1<<20)
	if want := []protocol.Gap{{From: 1, To: 10, Reason: protocol.GapPurged}}; err != nil || !slices.Equal(page.Gaps, want) {
		t.Errorf("feed: %+v, %v", page, err)
	}
}

// watchedFor is for how many seconds a queue is observed.
func (w *world) watchedFor(key protocol.QueueKey) int64 {
	w.t.Helper()
	return w.number(`SELECT coalesce(max(ceil(extract(epoch FROM observed_until - now()))), 0)::bigint
		FROM queue_watch w JOIN queue q ON q.id = w.queue_id WHERE q.name = $1`, key.Name)
}

// A queue is observed for as long as it has durable subscriptions, and a little longer for sockets that rely on it.
func TestDurableObserves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	want := func(what string, low, high int64) {
		t.Helper()
		if got := w.watchedFor(key); got < low || got > high {
			t.Errorf("%s: observed for %d s, want %d to %d", what, got, low, high)
		}
	}
	create := func(name string, ttl int32) *protocol.Subscription {
		t.Helper()
		sub := &protocol.Subscription{Queue: key, Subscriber: name, TTL: ttl}
		wantErr(t, "create", s.CreateSubscription(ctx, sub, false), nil)
		return sub
	}
	update := func(sub *protocol.Subscription, ttl int32) {
		t.Helper()
		wantErr(t, "update", s.UpdateSubscription(ctx, key, sub.ID, protocol.SubscriptionChange{TTL: &ttl}), nil)
	}
	one := create("one", 1000)
	want("one", 990, 1000)
	two := create("two", 5000)
	want("two", 4990, 5000)
	three := create("three", 500)
	want("three", 4990, 5000)
	wantErr(t, "delete", s.DeleteSubscription(ctx, key, two.ID), nil)
	want("two is deleted", 990, 1000)
	update(one, 300)
	want("one is shorter", 490, 500)
	update(one, 9000)
	want("one is longer", 8990, 9000)
	wantErr(t, "delete", s.DeleteSubscription(ctx, key, three.ID), nil)
	want("three is deleted", 8990, 9000)

	wantErr(t, "delete the queue", s.DeleteQueue(ctx, key), nil)
	w.post(s, key, 1)
	want("made again", 8980, 9000)
	wantErr(t, "purge", s.PurgeQueue(ctx, key, false, true), nil)
	want("purged", 50, 60)
	w.exec(`UPDATE queue_watch SET observed_until = now() + interval '5 s'`)
	wantErr(t, "delete", s.DeleteSubscription(ctx, key, one.ID), nil)
	want("nothing to take back", 1, 5)
	w.exec(`UPDATE queue_watch SET observed_until = now()`)
	ids := w.post(s, key, 4)
	w.consume(s, key, ids)
	if n := w.number(`SELECT count(*) FROM message WHERE claim_expires_at = 'infinity'`); n != 0 {
		t.Errorf("%d tombstones in a queue that nobody observes", n)
	}
}

// An observation is not taken back from under a subscription that is being made.
func TestUnwatchAwaitsCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	old := w.hook(s, key, "old")
	id := w.number(`SELECT id FROM queue`)
	commit := w.hold(`WITH w AS (UPDATE queue_watch SET observed_until = now() + interval '2 h' WHERE queue_id = $1)
		INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at)
		VALUES (gen_random_uuid(), $2, $3, 'new', 7200, now() + interval '2 h')`, id, key.Project, key.Name)
	done := make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { done <- s.DeleteSubscription(ctx, key, old.ID) }()
	waits(w, 1, done)
	commit()
	wantErr(t, "delete", <-done, nil)
	if got := w.watchedFor(key); got < 7000 {
		t.Errorf("observed for %d s", got)
	}
}

// A subscription outlives its queue, and its deliverer goes on in the new one.
func TestDurableQueueMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	w.post(s, key, 5)
	sub := w.hook(s, key, "one")
	d := w.lease(s, sub.ID)
	wantErr(t, "delete", s.DeleteQueue(ctx, key), nil)
	_, err := s.Feed(ctx, key, d.QueueID, d.Cursor, 10, 100)
	wantErr(t, "feed", err, protocol.ErrNoQueue)
	read, err := s.ReadDurable(ctx, d.Lease)
	if err != nil || read.QueueID != d.QueueID || read.Cursor != 5 || read.Policy != nil {
		t.Errorf("without a queue: %+v, %v", read, err)
	}
	// Its cursor is far behind in the new queue although the number is higher than any there.
	w.consume(s, key, w.post(s, key, 3))
	w.wantMessages("nothing of the new queue delivered", s, 3)
	queue, err := s.Queue(ctx, key)
	if err != nil || queue.ID == d.QueueID {
		t.Fatalf("queue: %+v, %v", queue, err)
	}
	w.exec(`DELETE FROM queue_watch`)
	wantErr(t, "save", s.SaveProgress(ctx, d.Lease, protocol.Progress{QueueID: queue.ID, Cursor: 1}), nil)
	if got := w.watchedFor(key); got < 3000 {
		t.Errorf("the new queue is observed for %d s", got)
	}
	w.wantMessages("one delivered", s, 2)
	read, err = s.ReadDurable(ctx, d.Lease)
	if err != nil || read.QueueID != queue.ID || read.Cursor != 1 {
		t.Errorf("in the new queue: %+v, %v", read, err)
	}
	// So it is when the first thing to store about the new queue is a dead delivery.
	wantErr(t, "delete", s.DeleteQueue(ctx, key), nil)
	w.post(s, key, 1)
	queue, err = s.Queue(ctx, key)
	wantErr(t, "queue", err, nil)
	w.exec(`DELETE FROM queue_watch`)
	wantErr(t, "bury", s.BuryDelivery(ctx, d.Lease, protocol.Progress{QueueID: queue.ID, Cursor: 1}, protocol.DeadDelivery{}), nil)
	if got := w.watchedFor(key); got < 3000 {
		t.Errorf("the third queue is observed for %d s", got)
	}
}

// The create waits for a queue that is being deleted, and then makes it anew.
func TestCreateAwaitsQueueDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", still), newKey()
	old := w.post(s, key, 3)[0].Queue
	commit := w.hold(`WITH q AS (DELETE FROM queue WHERE id = $1) DELETE FROM queue_seq WHERE id = $1`, old)
	sub, done := startHook(t, s, key)
	waits(w, 1, done)
	commit()
	wantErr(t, "create", <-done, nil)
	if d := w.lease(s, sub.ID); d.QueueID == old || d.Cursor != 0 {
		t.Errorf("cursor %d of queue %d, which is gone", d.Cursor, d.QueueID)
	}
	if got := w.watchedFor(key); got < 3500 || got > int64(time.Hour/time.Second) {
		t.Errorf("observed for %d s", got)
	}
}
