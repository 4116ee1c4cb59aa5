package store

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// Without its counter row a queue is gone, whatever messages are left of it: no statement finds, takes or moves any.
func TestMissingCounterFencesEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noSweeper()
	s := w.store("", still)
	key, dead := w.deadLetterQueues(s, "")
	id := w.post(s, key, 3)[0].Queue
	w.delay(s, key, 1)
	to, err := s.resolve(t.Context(), dead, true)
	wantErr(t, "resolve", err, nil)
	w.exec(`UPDATE message SET claim_count = 2, claim_batch = 7`)
	w.exec(`DELETE FROM queue_seq WHERE id = $1`, id)
	count := func(what, sql string, args ...any) {
		t.Helper()
		rows, err := s.pool.Query(t.Context(), sql, args...)
		if err != nil {
			t.Fatal(what, err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", what, n, err)
		}
	}
	bounds := []int64{11}
	count("claim", claimSQL, id, 0, 100, 9, 10, 1<<20, bounds, 5, []int32{60}, []int32{60}, 1, 0, -1, 10)
	count("pop", popSQL, id, 0, 100, 9, 10, 1<<20, bounds, 1)
	count("list", messagesSQL, id, 0, 100, true, nil, 10)
	count("list delayed", delayedSQL, id, 0, nil, 10)
	count("delayed by id", delayedByIDSQL, id, []int64{1})
	count("delete delayed", inboxDeleteSQL, id, []int64{1}, 1)
	count("bury", burySQL, id, 0, 100, 2, 10, to.id, 0, 1, key.Name)
	var yes bool
	if err := s.pool.QueryRow(t.Context(), deadSQL, id, 0, 100, 2).Scan(&yes); err != nil || yes {
		t.Errorf("dead letters: %v, %v", yes, err)
	}
	if n := w.number(`SELECT count(*) FROM message WHERE queue_id = $1 AND claim_expires_at = '-infinity'`, id); n != 3 {
		t.Errorf("%d messages are as they were, want 3", n)
	}
}

// A queue that was deleted and made again while it has subscribers is observed from its first message on, before any
// of them notices. Subscriptions that do not count any more observe nothing.
func TestQueueMadeAgainIsObserved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit string
		want int64
	}{
		"of a socket":            {`SELECT`, 1},
		"durable":                {`UPDATE subscription SET gateway_id = NULL`, 1},
		"of a dead gateway":      {`UPDATE gateway SET lease_until = now() WHERE id = (SELECT gateway_id FROM subscription)`, 0},
		"of a gateway that left": {`UPDATE subscription SET gateway_id = gen_random_uuid()`, 0},
		"expired":                {`UPDATE subscription SET expires_at = now()`, 0},
		"to a queue of that name, in another project": {`UPDATE subscription SET project = 'other'`, 0},
	} {
		for _, lazily := range []bool{true, false} {
			t.Run(name+", made by a post "+strconv.FormatBool(lazily), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				subscriber, s := w.store("", still), w.store("", still)
				key := newKey()
				sub := &protocol.Subscription{ID: uuid.New(), Queue: key, Subscriber: "x", TTL: 300, Socket: true}
				wantErr(t, "subscribe", subscriber.CreateSubscription(t.Context(), sub, false), nil)
				wantErr(t, "delete", s.DeleteQueue(t.Context(), key), nil)
				w.exec(c.edit)
				if !lazily {
					_, err := s.CreateQueue(t.Context(), key, nil)
					wantErr(t, "create", err, nil)
				}
				ids := w.post(s, key, 1)
				wantErr(t, "consume", remove(s, key, false, ids), nil)
				page, err := subscriber.Feed(t.Context(), key, ids[0].Queue, 0, 10, 1<<20)
				wantErr(t, "feed", err, nil)
				if got := int64(len(page.Messages)); got != c.want {
					t.Errorf("the feed has %d messages and the gaps %v, want %d", got, page.Gaps, c.want)
				}
				if n := w.number(`SELECT count(*) FROM queue_watch WHERE queue_id = $1 AND observed_until > now() + interval '50 s'`, ids[0].Queue); n != c.want {
					t.Errorf("observed: %d, want %d", n, c.want)
				}
			})
		}
	}
}

// borrowed returns a key whose strings are views of memory that spoil overwrites.
func borrowed(key protocol.QueueKey) (view protocol.QueueKey, spoil func()) {
	project, name := []byte(key.Project), []byte(key.Name)
	view = protocol.QueueKey{Project: unsafe.String(&project[0], len(project)), Name: unsafe.String(&name[0], len(name))}
	return view, func() {
		for _, b := range [][]byte{project, name} {
			for i := range b {
				b[i] = '#'
			}
		}
	}
}

// What the store keeps does not depend on the memory of a caller's strings.
func TestKeysAreTheStoresOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	key := newKey()
	view, spoil := borrowed(key)
	if _, err := s.resolve(t.Context(), view, true); err != nil {
		t.Fatal(err)
	}
	spoil()
	if info := s.cache.fresh(key); info == nil || info.key != key {
		t.Errorf("the cache has %+v", info)
	}

	posts := newPosts(s) // with no flusher, so that lanes stay
	view, spoil = borrowed(key)
	p, _ := newPost(view, "x")
	posts.add(p)
	spoil()
	posts.mu.Lock()
	if ln := posts.lanes[key]; ln == nil || ln.key != key || posts.projects[key.Project] == nil {
		t.Errorf("the lanes are %v, the projects %v", posts.lanes, posts.projects)
	}
	posts.mu.Unlock()

	view, spoil = borrowed(key)
	w.claim(s, view, 1)
	spoil()
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	if q := s.claims.queues[key]; q == nil || q.key != key {
		t.Errorf("the claimer knows %v", s.claims.queues)
	}
}

func TestFlightsKeepTheirOwnKeys(t *testing.T) {
	t.Parallel()
	c := newQueueCache(3, time.Hour)
	key := protocol.QueueKey{Project: "p", Name: "q"}
	view, spoil := borrowed(key)
	_, f, _ := c.join(flightKey{view, true})
	spoil()
	if _, again, mine := c.join(flightKey{key, true}); mine || again != f {
		t.Error("a flight was lost with the caller's memory")
	}
}

func TestConfigChecksClaims(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*ClaimConfig){
		"Claims.Workers": func(c *ClaimConfig) { c.Workers = 0 }, "Claims.Waiting": func(c *ClaimConfig) { c.Waiting = 0 },
		"Claims.Queues": func(c *ClaimConfig) { c.Queues = -1 }, "Claims.Idle": func(c *ClaimConfig) { c.Idle = 0 },
		"Claims.Rows": func(c *ClaimConfig) { c.Rows = 5000 }, "Claims.Bytes": func(c *ClaimConfig) { c.Bytes = 1 },
		"Claims.Slice": func(c *ClaimConfig) { c.Slice = 0 }, "Claims.Rescan": func(c *ClaimConfig) { c.Rescan = -1 },
		"Claims.Spacing": func(c *ClaimConfig) { c.Spacing = 2 * time.Hour }, "Claims.Releases": func(c *ClaimConfig) { c.Releases = 0 },
		"Claims.Deletes": func(c *ClaimConfig) { c.Deletes = 0 }, "Claims.DeleteRows": func(c *ClaimConfig) { c.DeleteRows = 0 },
		"Claims.DeleteRetries": func(c *ClaimConfig) { c.DeleteRetries = -1 }, "Claims.Timeout": func(c *ClaimConfig) { c.Timeout = 0 },
	} {
		cfg := DefaultConfig()
		cfg.DatabaseURL = "x"
		if err := cfg.Check(); err != nil {
			t.Fatal(err)
		}
		edit(&cfg.Claims)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), name+" is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
