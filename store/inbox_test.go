package store

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// await waits until a number in the database is what it should be. There is no event to wait for where another
// process's work is what changes it.
func (w *world) await(want int64, sql string, args ...any) {
	w.t.Helper()
	for w.number(sql, args...) != want {
		if w.t.Context().Err() != nil {
			w.t.Fatalf("still %d, not %d: %s", w.number(sql, args...), want, sql)
		}
	}
}

// delayed returns a post of messages with delays in seconds.
func delayed(key protocol.QueueKey, delays ...int32) (*protocol.Post, told) {
	p, done := newPost(key)
	for i, d := range delays {
		p.Messages = append(p.Messages, protocol.NewMessage{Body: []byte(strconv.Itoa(i)), TTL: 300, Delay: d})
	}
	return p, done
}

// due makes everything in the inbox due now, in the order of ids unless order says otherwise.
func (w *world) due(order string) {
	w.exec(`UPDATE inbox i SET due_at = now() - interval '1 h' + o.n * interval '1 ms'
		FROM (SELECT id, row_number() OVER (ORDER BY ` + order + `) AS n FROM inbox) o WHERE o.id = i.id`)
}

func TestDelayedMessages(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := newRecorder()
			cfg := DefaultConfig()
			cfg.DatabaseURL, cfg.FlushSimpleQueues, cfg.PromotePoll = w.url, simple, testPoll
			s := w.openWith(cfg, r)
			key := newKey()
			p, done := delayed(key, 0, 100, 0, 200, -1)
			s.Post(p)
			<-done
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			q := p.IDs[0].Queue
			want := []protocol.MessageID{{Queue: q, N: 1}, {Queue: q, N: 1, Inbox: true}, {Queue: q, N: 2}, {Queue: q, N: 2, Inbox: true}, {Queue: q, N: 3}}
			if diff := cmp.Diff(want, p.IDs); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			if n := w.number(`SELECT count(*) FROM inbox WHERE due_at = created_at + id * interval '100 s' AND ttl = 300 AND client_id = $1`, poster); n != 2 {
				t.Errorf("%d messages wait as they should", n)
			}
			w.due("id DESC")
			w.await(5, `SELECT count(*) FROM message`)
			if diff := cmp.Diff([]string{"0", "2", "4", "3", "1"}, w.rows(key)); diff != "" {
				t.Errorf("the queue (-want +got):\n%s", diff)
			}
			for len(r.bodies(t, key)) < 5 {
				<-r.more
			}
			if diff := cmp.Diff(w.rows(key), r.bodies(t, key)); diff != "" {
				t.Errorf("the observer (-want +got):\n%s", diff)
			}
			if n := w.number(`SELECT count(*) FROM promoted p JOIN message m USING (queue_id, seq, inbox_id, expires_at)
				WHERE m.expires_at = m.created_at + interval '300 s'`); n != 2 {
				t.Errorf("%d promoted messages keep their id", n)
			}
		})
	}
}

func TestDelayIsTheQueuesDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	key := newKey()
	if _, err := s.CreateQueue(t.Context(), key, []byte(`{"_default_message_delay": 50}`)); err != nil {
		t.Fatal(err)
	}
	p, done := delayed(key, -1, 0)
	s.Post(p)
	<-done
	if p.Err != nil || !p.IDs[0].Inbox || p.IDs[1].Inbox {
		t.Errorf("got %v, %v", p.IDs, p.Err)
	}
}

// The gateway that took a delayed message is on time without polling.
func TestDelayedMessageIsOnTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRecorder()
	cfg := DefaultConfig()
	cfg.DatabaseURL, cfg.PromotePoll = w.url, longPoll
	s := w.openWith(cfg, r)
	p, done := delayed(newKey(), 1)
	s.Post(p)
	<-done
	<-r.more // the test's own time limit is the bound
	if n := w.number(`SELECT count(*) FROM message WHERE created_at < now() - interval '10 s'`); n != 0 {
		t.Error("promoted too late")
	}
}

// Several promoters, one of which is cut off in the middle again and again, move every message once and in order.
func TestPromotersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	rows := func(n int) func(*Config) { return func(c *Config) { c.PromotePoll, c.PromoteRows = testPoll, n } }
	s := w.store("", rows(3))
	w.store(proxy.URL(), rows(7))
	w.store("", rows(40))
	keys := []protocol.QueueKey{newKey(), newKey(), newKey()}
	const each = 200
	for range 3 {
		for _, arm := range []func(storetest.Match) <-chan struct{}{proxy.DropBeforeSync, proxy.DropAfterSync, proxy.DropDuringSync} {
			arm(storetest.Match{Nth: 2, SQL: "DELETE FROM inbox"})
		}
	}
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() {
			for i := range each {
				p, done := delayed(key, 600)
				p.Messages[0].Body = []byte(strconv.Itoa(i))
				s.Post(p)
				<-done
				if p.Err != nil {
					t.Error(p.Err)
				}
			}
		})
	}
	wg.Wait()
	w.due("id")
	w.await(each*int64(len(keys)), `SELECT count(*) FROM message`)
	w.await(0, `SELECT count(*) FROM inbox`)
	for _, key := range keys {
		got := w.rows(key)
		for i, body := range got {
			if body != strconv.Itoa(i) {
				t.Fatalf("message %d of queue %v is %s", i, key, body)
			}
		}
	}
	if n := w.number(`SELECT count(*) FROM queue_seq q WHERE next_seq - 1 <> (SELECT max(seq) FROM message WHERE queue_id = q.id)`); n != 0 {
		t.Errorf("%d queues have holes", n)
	}
}

func TestPromoterPassesOverDeletedQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { c.PromotePoll = testPoll })
	gone, kept := newKey(), newKey()
	for _, key := range []protocol.QueueKey{gone, kept} {
		p, done := delayed(key, 600, 600)
		s.Post(p)
		<-done
	}
	if err := s.DeleteQueue(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	w.due("id")
	w.await(0, `SELECT count(*) FROM inbox`)
	w.await(2, `SELECT count(*) FROM message`)
	if got := len(w.rows(kept)); got != 2 {
		t.Errorf("%d messages of the other queue", got)
	}
}

// A delayed message that was answered for belongs to a queue that is there, or was there at that time: a deletion waits
// for the flush, so that the sweeper cannot come by before the message does.
func TestDelayedPostMeetsDeletion(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		w := newWorld(t)
		proxy := storetest.NewProxy(t, w.url)
		s, other := w.store(proxy.URL(), func(c *Config) { c.FlushSimpleQueues = simple }), w.store("", nil)
		key := newKey()
		w.post(s, key, 1)
		held, release := proxy.HoldSync(storetest.Match{SQL: "INSERT INTO inbox"})
		p, done := delayed(key, 600)
		s.Post(p)
		<-held
		w.await(1, `SELECT is_called::int FROM inbox_id_seq`) // the statements have been carried out, too
		deleted := make(chan error, 1)
		go func() { deleted <- other.DeleteQueue(context.Background(), key) }()
		for w.number(waiting) == 0 {
			if len(deleted) > 0 {
				t.Fatalf("simple %d: the queue was deleted under a flush", simple)
			}
		}
		release()
		<-done
		if err := <-deleted; err != nil || p.Err != nil {
			t.Errorf("simple %d: the post: %v, the deletion: %v", simple, p.Err, err)
		}
	}
}
