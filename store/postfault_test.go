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

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// postLoad posts messages with distinct bodies from many goroutines until it is told to stop, and keeps every answer.
type postLoad struct {
	t       *testing.T
	s       *Store
	keys    []protocol.QueueKey
	stop    chan struct{}
	wg      sync.WaitGroup
	stored  atomic.Int64 // answers without an error
	moments chan struct{}

	mu      sync.Mutex
	answers map[string]error
}

func startPostLoad(t *testing.T, s *Store, queues, posters int) *postLoad {
	l := &postLoad{t: t, s: s, stop: make(chan struct{}), moments: make(chan struct{}, 1), answers: make(map[string]error)}
	for range queues {
		l.keys = append(l.keys, newKey())
	}
	for n := range posters {
		l.wg.Go(func() { l.run(n) })
	}
	return l
}

func (l *postLoad) run(n int) {
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		body := fmt.Sprint(n, "-", i)
		p, done := newPost(l.keys[(n+i)%len(l.keys)], body)
		l.s.Post(p)
		<-done
		l.mu.Lock()
		l.answers[body] = p.Err
		l.mu.Unlock()
		if p.Err == nil {
			l.stored.Add(1)
			signal(l.moments)
		}
	}
}

// progress waits until some more posts were stored.
func (l *postLoad) progress() {
	for want := l.stored.Load() + 50; l.stored.Load() < want; {
		<-l.moments
	}
}

// end stops the load and checks that every answer was true.
func (l *postLoad) end(w *world) (unknown int) {
	close(l.stop)
	l.wg.Wait()
	found := make(map[string]int)
	for _, key := range l.keys {
		for _, body := range w.rows(key) {
			found[body]++
		}
	}
	for body, err := range l.answers {
		n := found[body]
		switch {
		case err == nil && n != 1:
			l.t.Errorf("%s was answered as committed and is there %d times", body, n)
		case errors.Is(err, protocol.ErrOutcomeUnknown) && n <= 1:
			unknown++
		case err != nil && n != 0:
			l.t.Errorf("%s was answered with %v and is there %d times", body, err, n)
		}
	}
	return unknown
}

func TestPostThroughLostConnections(t *testing.T) {
	t.Parallel()
	type arm = func(*storetest.Proxy, storetest.Match) <-chan struct{}
	faults := map[string]arm{
		"before": (*storetest.Proxy).DropBeforeSync, "during": (*storetest.Proxy).DropDuringSync, "after": (*storetest.Proxy).DropAfterSync,
	}
	for name, fault := range faults {
		for _, simple := range []int{0, 100} {
			t.Run(fmt.Sprint(name, " simple ", simple), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				proxy := storetest.NewProxy(t, w.url)
				s := w.store(proxy.URL(), func(c *Config) { c.FlushSimpleQueues = simple })
				load := startPostLoad(t, s, 5, 20)
				load.progress()
				for range 10 {
					<-fault(proxy, storetest.Match{SQL: "INSERT INTO message"})
					load.progress()
				}
				if unknown := load.end(w); unknown == 0 {
					t.Error("no outcome was unknown")
				}
			})
		}
	}
}

func TestPostWhenConnectionsAreCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s := w.store(proxy.URL(), nil)
	load := startPostLoad(t, s, 5, 20)
	for range 10 {
		load.progress()
		proxy.DropAll()
	}
	load.progress()
	load.end(w)
}

// A server that went away while nothing was posted is noticed before the next post is sent, so that its outcome is
// not in doubt.
func TestPostAfterIdleConnectionWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s := w.store(proxy.URL(), nil)
	key := newKey()
	for i := range 10 {
		w.post(s, key, 1) // fails the test on any error
		if w.exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
			AND query LIKE '%INSERT INTO message%'`) == 0 {
			t.Fatal("found no flusher to end in round ", i)
		}
		// The server's farewell takes a moment through the proxy.
		for s.flusher.alive() {
			if t.Context().Err() != nil {
				t.Fatal(t.Context().Err())
			}
		}
	}
}

// alive says whether the flusher's connection looks well.
func (f *flusher) alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conn != nil && alive(f.conn.pg)
}

func TestPostWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s := w.store(proxy.URL(), func(c *Config) { c.PostWait, c.PostTimeout = 400*time.Millisecond, 600*time.Millisecond })
	known, unknown := newKey(), newKey()
	w.post(s, known, 1)
	for name, gone := range map[string]struct{ begin, end func() }{
		"refused": {func() { proxy.Refuse(true); proxy.DropAll() }, func() { proxy.Refuse(false) }},
		"frozen":  {proxy.Freeze, proxy.Thaw},
	} {
		gone.begin()
		start := time.Now()
		var posts []*protocol.Post
		var dones []told
		for i := range 20 {
			p, done := newPost([]protocol.QueueKey{known, unknown}[i%2], name+strconv.Itoa(i))
			s.Post(p)
			posts, dones = append(posts, p), append(dones, done)
		}
		for i, done := range dones {
			<-done
			if err := posts[i].Err; !errors.Is(err, protocol.ErrUnavailable) && !errors.Is(err, protocol.ErrOutcomeUnknown) {
				t.Errorf("%s: post %d: %v", name, i, err)
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: answered after %v", name, took)
		}
		gone.end()
		for { // it works again, once connections are back
			p, done := newPost(known, "back")
			s.Post(p)
			<-done
			if p.Err == nil {
				break
			}
		}
	}
}

// Waiting for a synchronous standby that is given up is a warning, and the commit is local only.
func TestPostWarnedAtCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'not replicated'; RETURN NULL; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()`)
	s := w.store("", nil)
	p, done := newPost(newKey(), "x")
	s.Post(p)
	<-done
	if !errors.Is(p.Err, protocol.ErrOutcomeUnknown) {
		t.Errorf("got %v", p.Err)
	}
}

// An error at the commit itself is as definite as one of a statement.
func TestPostRefusedAtCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.body = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	s := w.store("", nil)
	key := newKey()
	w.post(s, key, 1)
	release := w.lockCounter(1)
	var posts []*protocol.Post
	var dones []told
	for _, body := range []string{"a", "bad", "b"} {
		p, done := newPost(key, body)
		s.Post(p)
		posts, dones = append(posts, p), append(dones, done)
	}
	release()
	for i, done := range dones {
		<-done
		if (posts[i].Err != nil) != (i == 1) || errors.Is(posts[i].Err, protocol.ErrOutcomeUnknown) {
			t.Errorf("post %d: %v", i, posts[i].Err)
		}
	}
	if got := len(w.rows(key)); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
}

// A session that ends at the commit, after all statements were answered, leaves the outcome open.
func TestPostWhenTheSessionEndsAtCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE FUNCTION finish() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.body = 'bad' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER finish AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION finish()`)
	s := w.store("", nil)
	key := newKey()
	p, done := newPost(key, "bad")
	s.Post(p)
	<-done
	if !errors.Is(p.Err, protocol.ErrOutcomeUnknown) {
		t.Errorf("got %v", p.Err)
	}
	w.post(s, key, 1)
}

func TestOpenWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	proxy.Refuse(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	cfg := DefaultConfig()
	cfg.DatabaseURL = proxy.URL()
	if _, err := Open(ctx, cfg, nopLog); err == nil {
		t.Fatal("opened without a database")
	}
	time.AfterFunc(200*time.Millisecond, func() { proxy.Refuse(false) })
	w.post(w.store(proxy.URL(), nil), newKey(), 1)
}

func TestOpenRefusesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`ALTER TABLE gateway RENAME TO something`)
	cfg := DefaultConfig()
	cfg.DatabaseURL = w.url
	if _, err := Open(t.Context(), cfg, nopLog); sqlState(err) != "42P01" {
		t.Errorf("got %v", err)
	}
}

func TestIdentityIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey()
	w.post(w.store("", nil), key, 1)
	if n := w.number(`SELECT count(*) FROM server_identity, pg_control_system() c WHERE server_identity.system_identifier = c.system_identifier AND timeline = 1`); n != 1 {
		t.Fatal("the server's identity was not noted")
	}
	w.exec(`UPDATE server_identity SET timeline = 7`)
	w.post(w.store("", nil), key, 1)
	if n := w.number(`SELECT timeline FROM server_identity`); n != 1 {
		t.Errorf("after a change the timeline is %d", n)
	}
}
