package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// recorder is an Observer that keeps what it was told.
type recorder struct {
	mu        sync.Mutex
	committed []protocol.Committed
	changed   []protocol.QueueKey
	more      chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1)} }

func (r *recorder) Committed(batch []protocol.Committed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		messages := make([]protocol.NewMessage, len(c.Messages))
		for i, m := range c.Messages {
			messages[i] = m
			messages[i].Body = append([]byte(nil), m.Body...)
		}
		c.Messages, c.IDs = messages, append([]protocol.MessageID(nil), c.IDs...)
		r.committed = append(r.committed, c)
	}
	signal(r.more)
}

func (r *recorder) QueueChanged(q protocol.QueueKey, _ int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, q)
}

func (*recorder) Released(protocol.QueueKey, int64, int64) {}

// bodies returns what was committed to a queue, in the order of the calls, and fails if the numbers have holes.
func (r *recorder) bodies(t *testing.T, key protocol.QueueKey) (bodies []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var next int64 = 1
	for _, c := range r.committed {
		if c.Queue != key {
			continue
		}
		if c.First != next || len(c.Messages) != len(c.IDs) {
			t.Errorf("committed from %d with %d ids for %d messages, want from %d", c.First, len(c.IDs), len(c.Messages), next)
		}
		for _, m := range c.Messages {
			bodies = append(bodies, string(m.Body))
		}
		next += int64(len(c.Messages))
	}
	return bodies
}

// posting returns a post of one message and the channel that is closed when it is answered.
func newPost(key protocol.QueueKey, bodies ...string) (*protocol.Post, told) {
	done := make(told)
	p := &protocol.Post{Queue: key, ClientID: poster, Waiter: done}
	for _, b := range bodies {
		p.Messages = append(p.Messages, protocol.NewMessage{Body: []byte(b), TTL: -1, Delay: -1})
	}
	return p, done
}

// rows returns a queue's bodies as they are in the table.
func (w *world) rows(key protocol.QueueKey) (bodies []string) {
	w.t.Helper()
	rows, err := w.db.Query(context.Background(), `SELECT convert_from(body, 'UTF8') FROM message m
		JOIN queue q ON q.id = m.queue_id WHERE q.project = $1 AND q.name = $2 ORDER BY seq`, key.Project, key.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b string
		if err := rows.Scan(&b); err != nil {
			w.t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

func TestPostStoresInOrder(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 1000} { // array form, simple form
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := newRecorder()
			cfg := DefaultConfig()
			cfg.DatabaseURL, cfg.FlushSimpleQueues, cfg.FlushRows = w.url, simple, 50
			s := w.openWith(cfg, r)
			const queues, posts = 20, 40
			want := make(map[protocol.QueueKey][]string)
			var dones []told
			var all []*protocol.Post
			for i := range posts {
				for q := range queues {
					key := protocol.QueueKey{Project: "p" + strconv.Itoa(q%3), Name: "q" + strconv.Itoa(q)}
					p, done := newPost(key, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
					s.Post(p)
					all, dones = append(all, p), append(dones, done)
					want[key] = append(want[key], fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
				}
			}
			for i, done := range dones {
				<-done
				if all[i].Err != nil {
					t.Fatal(all[i].Err)
				}
				n := int64(i/queues)*2 + 1
				if ids := all[i].IDs; len(ids) != 2 || ids[0].N != n || ids[1].N != n+1 || ids[0].Queue != ids[1].Queue || ids[0].Inbox {
					t.Fatalf("post %d got ids %v, want numbers %d and %d", i, ids, n, n+1)
				}
			}
			for key, bodies := range want {
				if diff := cmp.Diff(bodies, w.rows(key)); diff != "" {
					t.Errorf("queue %v (-want +got):\n%s", key, diff)
				}
				if diff := cmp.Diff(bodies, r.bodies(t, key)); diff != "" {
					t.Errorf("observer of %v (-want +got):\n%s", key, diff)
				}
			}
		})
	}
}

func TestPostKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		w := newWorld(t)
		s := w.store("", func(c *Config) { c.FlushSimpleQueues = simple })
		key := newKey()
		if _, err := s.CreateQueue(t.Context(), key, []byte(`{"_default_message_ttl": 77}`)); err != nil {
			t.Fatal(err)
		}
		done := make(told)
		p := &protocol.Post{Queue: key, Waiter: done, Messages: []protocol.NewMessage{
			{Body: []byte{0, 0xff, 'x'}, Codec: protocol.MessagePack, TTL: -1}, {Body: []byte{}, TTL: 60}, {Body: []byte("{}"), TTL: 61},
		}}
		s.Post(p)
		<-done
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		if n := w.number(`SELECT count(*) FROM message WHERE client_id IS NULL AND expires_at = created_at + ttl * interval '1 s' AND
			(seq, ttl, codec, body) IN ((1, 77, 1, '\x00ff78'::bytea), (2, 60, 0, ''::bytea), (3, 61, 0, '{}'::bytea))`); n != 3 {
			t.Errorf("simple %d: %d of 3 messages are as posted", simple, n)
		}
		if p, done := newPost(key); true { // no message at all
			s.Post(p)
			<-done
			if p.Err != nil || len(p.IDs) != 0 {
				t.Errorf("an empty post: %v, %v", p.IDs, p.Err)
			}
		}
	}
}

func TestPostTellsWaitersInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	shared := &counting{flushed: make(chan struct{}, 100)}
	key := newKey()
	for range 20 {
		p, _ := newPost(key, "x")
		p.Waiter = shared
		s.Post(p)
	}
	for shared.dones.Load() < 20 {
		<-shared.flushed
	}
	if f := shared.flushes.Load(); f < 1 || f > 20 {
		t.Errorf("%d flushes for 20 posts", f)
	}
}

// counting is a Waiter of many posts.
type counting struct {
	dones, flushes atomic.Int32
	flushed        chan struct{}
}

func (c *counting) Done()  { c.dones.Add(1) }
func (c *counting) Flush() { c.flushes.Add(1); c.flushed <- struct{}{} }

func TestPostTooLargeForItsQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	key := newKey()
	if _, err := s.CreateQueue(t.Context(), key, []byte(`{"_max_messages_post_size": 10}`)); err != nil {
		t.Fatal(err)
	}
	large, largeDone := newPost(key, "123456", "78901")
	small, smallDone := newPost(key, "123456", "7890")
	s.Post(large)
	s.Post(small)
	<-largeDone
	<-smallDone
	if !errors.Is(large.Err, protocol.ErrPostTooLarge) || small.Err != nil {
		t.Errorf("large: %v, small: %v", large.Err, small.Err)
	}
}

// locked holds a queue's counter until release is called.
func (w *world) lockCounter(id int64) (release func()) {
	w.t.Helper()
	tx, err := w.db.Begin(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Exec(context.Background(), `SELECT FROM queue_seq WHERE id = $1 FOR UPDATE`, id); err != nil {
		w.t.Fatal(err)
	}
	return func() { _ = tx.Rollback(context.Background()) }
}

func TestPostBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) {
		c.PostWaitRows, c.PostWait, c.PostTimeout = 1000, 500*time.Millisecond, time.Second
		c.FlushLockTimeout = 10 * time.Millisecond
	})
	key := newKey()
	w.post(s, key, 1)
	release := w.lockCounter(1)
	defer release()
	var posts []*protocol.Post
	var dones []told
	for range 1100 {
		p, done := newPost(key, "x")
		s.Post(p)
		posts, dones = append(posts, p), append(dones, done)
	}
	for i, done := range dones {
		<-done
		if want := map[bool]error{false: protocol.ErrUnavailable, true: protocol.ErrOverloaded}[i >= 1000]; !errors.Is(posts[i].Err, want) {
			t.Fatalf("post %d: %v, want %v", i, posts[i].Err, want)
		}
	}
	release()
	w.post(s, key, 1) // and works again
	if got := len(w.rows(key)); got != 2 {
		t.Errorf("%d rows, want 2: a withdrawn post was stored", got)
	}
}

func TestPostGoesOnWithoutALockedQueue(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.store("", func(c *Config) {
				c.FlushSimpleQueues, c.FlushLockTimeout = simple, 20*time.Millisecond
				c.PostWait, c.PostTimeout = 30*time.Second, 30*time.Second
			})
			locked, free := newKey(), newKey()
			w.post(s, locked, 1)
			w.post(s, free, 1)
			release := w.lockCounter(1)
			defer release()
			var stuck []told
			for i := range 5 {
				p, done := newPost(locked, strconv.Itoa(i+100))
				s.Post(p)
				stuck = append(stuck, done)
				w.post(s, free, 1) // answered although the other queue is locked
			}
			select {
			case <-stuck[0]:
				t.Error("a post to the locked queue was answered")
			default:
			}
			release()
			for _, done := range stuck {
				<-done
			}
			if diff := cmp.Diff([]string{"0", "100", "101", "102", "103", "104"}, w.rows(locked)); diff != "" {
				t.Errorf("the locked queue's order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPostFailsAlone(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`ALTER TABLE message ADD CHECK (body <> 'bad')`)
			s := w.store("", func(c *Config) { c.FlushSimpleQueues = simple })
			keys := []protocol.QueueKey{newKey(), newKey(), newKey()}
			for _, key := range keys {
				w.post(s, key, 1)
			}
			release := w.lockCounter(1) // so that what follows is flushed together
			var posts []*protocol.Post
			var dones []told
			want := make(map[protocol.QueueKey][]string)
			for i := range 60 {
				key, body := keys[i%3], strconv.Itoa(i)
				if i == 31 || i == 40 {
					body = "bad"
				}
				p, done := newPost(key, body)
				s.Post(p)
				posts, dones = append(posts, p), append(dones, done)
				if body != "bad" {
					want[key] = append(want[key], body)
				}
			}
			release()
			for i, done := range dones {
				<-done
				if bad := string(posts[i].Messages[0].Body) == "bad"; bad != (posts[i].Err != nil) {
					t.Errorf("post %d: %v", i, posts[i].Err)
				} else if bad && (errors.Is(posts[i].Err, protocol.ErrUnavailable) || sqlState(posts[i].Err) != "23514") {
					t.Errorf("post %d failed with %v", i, posts[i].Err)
				}
			}
			for _, key := range keys {
				if diff := cmp.Diff(append([]string{"0"}, want[key]...), w.rows(key)); diff != "" {
					t.Errorf("queue %v (-want +got):\n%s", key, diff)
				}
			}
		})
	}
}

// A flush that is cut in parts keeps the order also where an early part has to wait.
func TestPostKeepsOrderWhenHalvesWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`ALTER TABLE message ADD CHECK (body <> 'bad')`)
	w.exec(`CREATE SEQUENCE tries`)
	// The first half is cut off because of the bad message, and then meets a lock.
	w.exec(`CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.body = 'stall' AND nextval('tries') = 2 THEN RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'; END IF;
		RETURN NEW; END $$`)
	w.exec(`CREATE TRIGGER stall BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION stall()`)
	s := w.store("", nil)
	key := newKey()
	w.post(s, key, 1)
	release := w.lockCounter(1)
	var dones []told
	for _, body := range []string{"stall", "a", "bad", "b"} {
		p, done := newPost(key, body)
		s.Post(p)
		dones = append(dones, done)
	}
	release()
	for _, done := range dones {
		<-done
	}
	if diff := cmp.Diff([]string{"0", "stall", "a", "b"}, w.rows(key)); diff != "" {
		t.Errorf("the queue (-want +got):\n%s", diff)
	}
}

func TestPostMakesADeletedQueueAgain(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 8} {
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.deletedMeanwhile(simple)
		})
	}
}

// deletedMeanwhile has one gateway delete a queue again and again while another, whose cache is never in time, posts.
func (w *world) deletedMeanwhile(simple int) {
	t := w.t
	s := w.store("", func(c *Config) { c.FlushSimpleQueues, c.FlushRows = simple, 20 })
	other := w.store("", nil)
	key := newKey()
	type answer struct {
		id   protocol.MessageID
		body string
	}
	var answers []answer
	for round := range 20 {
		var dones []told
		var posts []*protocol.Post
		for i := range 100 {
			p, done := newPost(key, fmt.Sprint(round, " ", i))
			s.Post(p)
			posts, dones = append(posts, p), append(dones, done)
		}
		if err := other.DeleteQueue(t.Context(), key); err != nil && !errors.Is(err, protocol.ErrNoQueue) {
			t.Fatal(err)
		}
		var last protocol.MessageID
		for i, done := range dones {
			<-done
			if posts[i].Err != nil {
				t.Fatal(posts[i].Err)
			}
			id := posts[i].IDs[0]
			if id.Queue < last.Queue || id.Queue == last.Queue && id.N <= last.N {
				t.Fatalf("post %d got %v after %v", i, id, last)
			}
			last = id
			answers = append(answers, answer{id, string(posts[i].Messages[0].Body)})
		}
	}
	// Those of deleted queues are gone, but for what was not reaped yet; those of the live one are all there.
	live := w.number(`SELECT coalesce(max(id), 0) FROM queue WHERE name = $1`, key.Name)
	var want []string
	for _, a := range answers {
		if a.id.Queue == live {
			want = append(want, a.body)
		}
	}
	if diff := cmp.Diff(want, w.rows(key)); diff != "" {
		t.Errorf("the queue (-want +got):\n%s", diff)
	}
	if n := w.number(`SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT FROM queue_seq q WHERE q.id = m.queue_id)
		AND NOT EXISTS (SELECT FROM dropped_queue d WHERE d.queue_id = m.queue_id)`); n != 0 {
		t.Errorf("%d messages of no queue", n)
	}
}

// patient lets locks be waited for longer than PostgreSQL takes to look for a deadlock, so that it would find one.
func patient(c *Config) {
	c.FlushLockTimeout, c.LockTimeout, c.StatementTimeout = time.Minute, time.Minute, time.Minute
	c.PostWait, c.PostTimeout = time.Minute, time.Minute
}

func TestPostSharesOneDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*Store{
		w.store("", func(c *Config) { c.FlushSimpleQueues = 0; patient(c) }),
		w.store("", func(c *Config) { c.FlushSimpleQueues = 0; patient(c) }),
		w.store("", patient),
	}
	keys := make([]protocol.QueueKey, 12)
	for i := range keys {
		keys[i] = newKey()
	}
	const posters, each = 48, 30
	var wg sync.WaitGroup
	for n := range posters {
		wg.Go(func() {
			for i := range each {
				p, done := newPost(keys[(n*7+i)%len(keys)], fmt.Sprint(n, " ", i))
				stores[n%3].Post(p)
				<-done
				if p.Err != nil {
					t.Error(p.Err)
				}
			}
		})
	}
	wg.Wait()
	var total int
	for _, key := range keys {
		total += len(w.rows(key))
	}
	if total != posters*each {
		t.Errorf("%d rows, want %d", total, posters*each)
	}
	if n := w.number(`SELECT count(*) FROM queue_seq q WHERE next_seq - 1 <> (SELECT count(*) FROM message WHERE queue_id = q.id)
		OR next_seq - 1 <> (SELECT coalesce(max(seq), 0) FROM message WHERE queue_id = q.id)`); n != 0 {
		t.Errorf("%d queues have holes", n)
	}
}

// Flushes of several gateways that meet on the same queues wait for one another in one order.
func TestFlushesLockInOrder(t *testing.T) {
	t.Parallel()
	for _, simple := range []int{0, 100} {
		t.Run(fmt.Sprint("simple queues ", simple), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			config := func(c *Config) { c.FlushSimpleQueues = simple; patient(c) }
			stores := []*Store{w.store("", config), w.store("", config), w.store("", config)}
			keys := make([]protocol.QueueKey, 12)
			for i := range keys {
				keys[i] = newKey()
				w.post(stores[0], keys[i], 1)
			}
			for range 4 {
				// One counter in the middle is locked: each flush takes what it can and stops there.
				release := w.lockCounter(6)
				var dones []told
				for _, key := range keys {
					for _, s := range stores {
						p, done := newPost(key, "x")
						s.Post(p)
						dones = append(dones, done)
					}
				}
				w.await(int64(len(stores)), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
				release()
				for _, done := range dones {
					<-done
				}
			}
		})
	}
}

// overtaken notes how many others were told before its own Waiter was.
type overtaken struct {
	protocol.Waiter
	by *atomic.Int32
	n  int32
}

func (o *overtaken) Done() {
	o.n = o.by.Load()
	o.Waiter.Done()
}

func TestPostIsFairToProjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", func(c *Config) { c.FlushRows = 10; patient(c) })
	const queues, each = 50, 20
	queue := func(i int) protocol.QueueKey { return protocol.QueueKey{Project: "flood", Name: strconv.Itoa(i)} }
	small := protocol.QueueKey{Project: "small", Name: "q"}
	w.post(s, queue(0), 1)
	for i := range queues {
		w.post(s, queue(i), 1)
	}
	w.post(s, small, 1)
	release := w.lockCounter(1) // the first flush waits, the rest of the flood behind it
	flood := &counting{flushed: make(chan struct{}, queues*each)}
	for i := range queues * each {
		p, _ := newPost(queue(i%queues), "x")
		p.Waiter = flood
		s.Post(p)
	}
	p, done := newPost(small, "y")
	behind := &overtaken{Waiter: p.Waiter, by: &flood.dones}
	p.Waiter = behind
	s.Post(p)
	release()
	<-done
	// Two projects take turns: the small one is in the first or second flush, not behind all of the other's queues.
	if behind.n > 30 {
		t.Errorf("%d posts of the other project went first", behind.n)
	}
	for flood.dones.Load() < queues*each {
		<-flood.flushed
	}
}

func TestPostAfterStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := DefaultConfig()
	cfg.DatabaseURL = w.url
	s, err := Open(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	key := newKey()
	var dones []told
	var posts []*protocol.Post
	for range 100 {
		p, done := newPost(key, "x")
		s.Post(p)
		posts, dones = append(posts, p), append(dones, done)
	}
	s.Stop(t.Context())
	for i, done := range dones {
		<-done
		if posts[i].Err != nil {
			t.Errorf("a post from before the stop: %v", posts[i].Err)
		}
	}
	if got := len(w.rows(key)); got != 100 {
		t.Errorf("%d rows, want 100", got)
	}
	if n := w.number(`SELECT count(*) FROM gateway`); n != 0 {
		t.Errorf("%d gateways are registered after the stop", n)
	}
}

func TestPostWhileStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	key := newKey()
	w.post(s, key, 1)
	release := w.lockCounter(1) // keeps it from finishing
	defer release()
	held, heldDone := newPost(key, "held")
	s.Post(held)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		s.Stop(ctx)
		close(stopped)
	}()
	for { // the stop has begun once a post is refused
		p, done := newPost(newKey(), "late")
		s.Post(p)
		<-done
		if errors.Is(p.Err, protocol.ErrStopping) {
			break
		}
		if p.Err != nil {
			t.Fatal(p.Err)
		}
	}
	cancel() // its time is over
	<-stopped
	<-heldDone
	if held.Err == nil {
		t.Error("a post that could not be stored was answered as committed")
	}
}
