package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRecorder()
	cfg := DefaultConfig()
	cfg.DatabaseURL = w.url
	s := w.openWith(cfg, r)
	ctx := t.Context()
	key := func(name string) protocol.QueueKey { return protocol.QueueKey{Project: "p", Name: name} }
	for _, name := range []string{"b", "a", "C"} {
		if created, err := s.CreateQueue(ctx, key(name), nil); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	if created, err := s.CreateQueue(ctx, key("a"), []byte(`{"x": 1}`)); err != nil || created {
		t.Errorf("creating it again: %v, %v", created, err)
	}
	if q, err := s.Queue(ctx, key("a")); err != nil || string(q.Metadata) != "{}" || q.ID != 2 {
		t.Errorf("the queue is %+v, %v", q, err)
	}
	if _, err := s.Queue(ctx, key("missing")); !errors.Is(err, protocol.ErrNoQueue) {
		t.Errorf("a missing queue: %v", err)
	}
	var names []string
	for marker := ""; ; {
		page, err := s.Queues(ctx, protocol.QueuePage{Project: "p", Marker: marker, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, q := range page {
			names = append(names, q.Name)
		}
		marker = names[len(names)-1]
	}
	if diff := cmp.Diff([]string{"C", "a", "b"}, names); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if err := s.DeleteQueue(ctx, key("a")); err != nil {
		t.Error(err)
	}
	if err := s.DeleteQueue(ctx, key("a")); !errors.Is(err, protocol.ErrNoQueue) {
		t.Errorf("deleting it twice: %v", err)
	}
	if created, err := s.CreateQueue(ctx, key("a"), []byte(`{"x": 1}`)); err != nil || !created {
		t.Error(created, err)
	}
	if q, err := s.Queue(ctx, key("a")); err != nil || string(q.Metadata) != `{"x": 1}` || q.ID <= 3 {
		t.Errorf("made again, it is %+v, %v", q, err)
	}
	if diff := cmp.Diff([]protocol.QueueKey{key("b"), key("a"), key("C"), key("a"), key("a")}, r.changed); diff != "" {
		t.Errorf("the observer was told (-want +got):\n%s", diff)
	}
}

func TestPurgeQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	ctx, key := t.Context(), newKey()
	if err := s.PurgeQueue(ctx, key, true, true); !errors.Is(err, protocol.ErrNoQueue) {
		t.Errorf("a missing queue: %v", err)
	}
	w.post(s, key, 5)
	subscriptions := `SELECT count(*) FROM subscription`
	w.exec(`INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at) VALUES ($1, $2, $3, 'x', 60, now() + interval '1 h')`,
		uuid.New(), key.Project, key.Name)
	if err := s.PurgeQueue(ctx, key, false, false); err != nil || w.stats(s, key).Total != 5 || w.number(subscriptions) != 1 {
		t.Errorf("purging nothing: %v", err)
	}
	if err := s.PurgeQueue(ctx, key, true, false); err != nil || w.stats(s, key).Total != 0 || w.number(subscriptions) != 1 {
		t.Errorf("purging messages: %v", err)
	}
	w.post(s, key, 2)
	if err := s.PurgeQueue(ctx, key, false, true); err != nil || w.stats(s, key).Total != 2 || w.number(subscriptions) != 0 {
		t.Errorf("purging subscriptions: %v", err)
	}
	if n := w.number(`SELECT next_seq FROM queue_seq`); n != 8 {
		t.Errorf("the next number is %d: numbers are used twice", n)
	}
}

func TestQueueInfoReadsMetadataLeniently(t *testing.T) {
	t.Parallel()
	for metadata, want := range map[string]queueInfo{
		`{}`:       {defaultTTL: 9},
		`[1]`:      {defaultTTL: 9},
		`not json`: {defaultTTL: 9},
		`{"_default_message_ttl": 70, "_default_message_delay": 5, "_max_messages_post_size": 100, "_max_claim_count": 3,
			"_dead_letter_queue": "dlq", "_dead_letter_queue_messages_ttl": 80}`: {
			defaultTTL: 70, defaultDelay: 5, maxPostBytes: 100, maxClaimCount: 3, deadLetterQueue: "dlq", deadLetterTTL: 80},
		`{"_default_message_ttl": "70", "_default_message_delay": 1.5, "_max_claim_count": 1e20, "_dead_letter_queue": 5,
			"_max_messages_post_size": -1}`: {defaultTTL: 9},
	} {
		got := newQueueInfo(0, protocol.QueueKey{}, []byte(metadata), 9)
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(queueInfo{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metadata, diff)
		}
	}
}

func TestQueueCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newQueueCache(3, time.Hour)
	key := func(i int) protocol.QueueKey { return protocol.QueueKey{Name: fmt.Sprint(i)} }
	remember := func(i int) {
		_, f, mine := c.join(flightKey{key(i), false})
		if !mine {
			t.Fatal("another's flight")
		}
		f.info = &queueInfo{id: int64(i), key: key(i)}
		c.land(flightKey{key(i), false}, f)
	}
	for i := range 3 {
		remember(i)
	}
	c.fresh(key(0)) // the oldest, but used
	remember(3)
	for i, want := range []bool{true, false, true, true} {
		if got := c.fresh(key(i)) != nil; got != want {
			t.Errorf("queue %d is remembered: %v", i, got)
		}
	}
	c.forgetID(key(3), 99)
	if c.fresh(key(3)) == nil {
		t.Error("forgot a queue for another's sake")
	}
	c.forgetID(key(3), 3)
	if c.fresh(key(3)) != nil || len(c.entries) != c.recent.Len() {
		t.Error("did not forget")
	}
}

// What changes while it is looked up is not remembered: the answer may be from before the change.
func TestQueueCacheForgetsFlights(t *testing.T) {
	t.Parallel()
	c := newQueueCache(3, time.Hour)
	key := protocol.QueueKey{Name: "q"}
	_, old, _ := c.join(flightKey{key, false})
	c.forget(key)
	_, next, mine := c.join(flightKey{key, false})
	if !mine || next == old {
		t.Fatal("who asks after the change gets an answer from before it")
	}
	next.info, old.info = &queueInfo{id: 2, key: key}, &queueInfo{id: 1, key: key}
	c.land(flightKey{key, false}, next)
	c.land(flightKey{key, false}, old)
	if got := c.fresh(key); got == nil || got.id != 2 {
		t.Errorf("remembered %+v", got)
	}
}

func TestQueueCacheAges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { c.QueueCacheAge = 0 })
	other := w.store("", nil)
	key := newKey()
	if _, err := other.CreateQueue(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	first, err := s.resolve(t.Context(), key, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteQueue(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.resolve(t.Context(), key, false); !errors.Is(err, protocol.ErrNoQueue) {
		t.Errorf("after its deletion: %v", err)
	}
	again, err := s.resolve(t.Context(), key, true)
	if err != nil || again.id <= first.id {
		t.Errorf("made again: %+v, %v", again, err)
	}
}

func TestResolveMakesOneQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*Store{w.store("", nil), w.store("", nil)}
	key := newKey()
	ids := make([]int64, 40)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			info, err := stores[i%2].resolve(t.Context(), key, true)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = info.id
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several queues: %v", ids)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stores[0].resolve(ctx, newKey(), true); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}
