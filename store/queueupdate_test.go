package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestUpdateQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRecorder()
	cfg := DefaultConfig()
	cfg.DatabaseURL = w.url
	s := w.openWith(cfg, r)
	ctx, key := t.Context(), newKey()
	set := func(text string) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return []byte(text), nil }
	}
	_, err := s.UpdateQueue(ctx, key, set("{}"))
	wantErr(t, "a missing queue", err, protocol.ErrNoQueue)
	if _, err := s.CreateQueue(ctx, key, []byte(`{"n": 1}`)); err != nil {
		t.Fatal(err)
	}
	w.post(s, key, 1) // the queue is remembered
	refusal := errors.New("refused")
	_, err = s.UpdateQueue(ctx, key, func(metadata []byte) ([]byte, error) {
		if string(metadata) != `{"n": 1}` {
			t.Errorf("update got %s", metadata)
		}
		return nil, refusal
	})
	if err != refusal { //nolint:errorlint // as it is, unwrapped
		t.Errorf("the refusal came back as %v", err)
	}
	_, err = s.UpdateQueue(ctx, key, set(`{"_flavor": "none"}`))
	wantErr(t, "an unknown flavor", err, protocol.ErrNoFlavor)
	r.changed = nil
	text := `{"_max_messages_post_size": 2, "_max_claim_count": 3, "_dead_letter_queue": "d"}`
	queue, err := s.UpdateQueue(ctx, key, set(text))
	if err != nil || string(queue.Metadata) != text {
		t.Fatalf("updated to %+v, %v", queue, err)
	}
	if diff := cmp.Diff([]protocol.QueueKey{key}, r.changed); diff != "" {
		t.Errorf("the observer was told (-want +got):\n%s", diff)
	}
	if got, err := s.Queue(ctx, key); err != nil || string(got.Metadata) != text || got.ID != queue.ID {
		t.Errorf("the queue is %+v, %v", got, err)
	}
	// What is remembered of the queue is forgotten, and the sweeper finds its dead letters.
	done := make(told)
	p := &protocol.Post{Queue: key, Waiter: done, Messages: []protocol.NewMessage{{Body: []byte("123"), TTL: 60}}}
	s.Post(p)
	<-done
	wantErr(t, "a post that has become too large", p.Err, protocol.ErrPostTooLarge)
	if n := w.number(`SELECT count(*) FROM queue WHERE id = $1 AND dead_letter AND dead_letter_queue = 'd'`, queue.ID); n != 1 {
		t.Error("the dead-letter queue is not noted")
	}
	_, err = s.UpdateQueue(ctx, key, set("{}"))
	wantErr(t, "update", err, nil)
	if n := w.number(`SELECT count(*) FROM queue WHERE id = $1 AND dead_letter`, queue.ID); n != 0 {
		t.Error("the dead-letter queue is still noted")
	}
}

// No update is lost to another that comes at the same time.
func TestUpdatesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*Store{w.store("", nil), w.store("", nil)}
	key := newKey()
	if _, err := stores[0].CreateQueue(t.Context(), key, []byte(`0`)); err != nil {
		t.Fatal(err)
	}
	const each = 20
	var all sync.WaitGroup
	for i := range 2 * each {
		all.Go(func() {
			_, err := stores[i%2].UpdateQueue(t.Context(), key, func(metadata []byte) ([]byte, error) {
				var n int
				if _, err := fmt.Sscan(string(metadata), &n); err != nil {
					return nil, err
				}
				return fmt.Append(nil, n+1), nil
			})
			wantErr(t, "update", err, nil)
		})
	}
	all.Wait()
	if q, err := stores[0].Queue(t.Context(), key); err != nil || string(q.Metadata) != fmt.Sprint(2*each) {
		t.Errorf("the metadata are %s, %v", q.Metadata, err)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.store("", still).Secret(t.Context(), "a")
	if err != nil || len(first) != 32 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	s := w.store("", still)
	again, err := s.Secret(t.Context(), "a")
	if err != nil || string(again) != string(first) {
		t.Errorf("another gateway got %x, %v, want %x", again, err, first)
	}
	if other, err := s.Secret(t.Context(), "b"); err != nil || string(other) == string(first) {
		t.Errorf("another name has %x, %v", other, err)
	}
}

// A listing that leaves much out looks at all of it, in slices.
func TestListingsFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	w.exec(`INSERT INTO queue (project, name, metadata)
		SELECT 'p', CASE WHEN i % 2 = 0 THEN 'topic:' ELSE '' END || 'n' || lpad(i::text, 5, '0'), ('{"k": ' || i % 700 || '}')::bytea
		FROM generate_series(0, 5999) i`)
	w.exec(`INSERT INTO queue (project, name) VALUES ('p', 'zz'), ('p', 'topicx')`)
	for _, c := range []struct {
		page  protocol.QueuePage
		first string
		got   int
		count int64
	}{
		{protocol.QueuePage{Limit: 10}, "n00001", 10, 3002},
		{protocol.QueuePage{Limit: 10, Topics: true}, "topic:n00000", 10, 3000},
		{protocol.QueuePage{Limit: 10, Name: "999"}, "n00999", 6, 6},
		{protocol.QueuePage{Limit: 10, Name: "999", Marker: "n00999"}, "n01999", 5, 6},
		{protocol.QueuePage{Limit: 10, Name: "topic"}, "topicx", 1, 1},
		{protocol.QueuePage{Limit: 10, Name: "topic", Topics: true}, "", 0, 0},
		{protocol.QueuePage{Limit: 3, Metadata: map[string]string{"k": "7"}}, "n00007", 3, 9},
		{protocol.QueuePage{Limit: 9, Metadata: map[string]string{"k": "8"}, Topics: true}, "topic:n00008", 9, 9},
		{protocol.QueuePage{Limit: 10, Metadata: map[string]string{"x": "8"}}, "", 0, 0},
	} {
		c.page.Project = "p"
		list, err := s.Queues(t.Context(), c.page)
		if err != nil || len(list) != c.got || c.got > 0 && list[0].Name != c.first {
			t.Errorf("%+v: %d queues %v, %v", c.page, len(list), list, err)
		}
		if n, err := s.CountQueues(t.Context(), c.page); err != nil || n != c.count {
			t.Errorf("%+v: counted %d, %v", c.page, n, err)
		}
	}
}

func TestHasAttributes(t *testing.T) {
	t.Parallel()
	metadata := []byte(`{"s": "a\"b", "n": 1.50, "t": true, "z": null, "o": {"a" : [1, 2]}}`)
	for name, value := range map[string]string{"s": `a"b`, "n": "1.50", "t": "true", "z": "null", "o": `{"a":[1,2]}`} {
		if !hasAttributes(metadata, map[string]string{name: value}) {
			t.Errorf("%s is not %s", name, value)
		}
		if hasAttributes(metadata, map[string]string{name: value + "x"}) || hasAttributes(metadata, map[string]string{name + "x": value}) {
			t.Errorf("%s matches another", name)
		}
	}
}
