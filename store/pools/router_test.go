package pools

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

var (
	_ gateway.Backend = (*Router)(nil)
	_ store.Placement = (*Router)(nil)
)

// Every operation finds its queue, whether the Router remembers where it is or not.
func TestOperationsFindTheirQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.router(slow)
	one, _ := w.pool(first, "one", 0)
	k := w.place(first, "q", one)
	// Another gateway knows nothing of it yet: neither of the queue nor, as it does not poll, of a pool made later.
	fresh := func() *Router { return w.router(slow) }

	ids := w.post(fresh(), k, "a", "b", "c", "d")
	if got := w.bodies(fresh(), k); got != "a b c d" {
		t.Errorf("listed %q", got)
	}
	ctx := t.Context()
	claim := w.claim(fresh(), k, 2)
	if got := bodiesOf(claim.Messages); got != "a b" {
		t.Fatalf("claimed %q", got)
	}
	if c, err := fresh().ClaimByID(ctx, k, claim.ClaimID); err != nil || len(c.Messages) != 2 {
		t.Errorf("the claim is %+v, %v", c, err)
	}
	wantErr(t, "renew", fresh().RenewClaim(ctx, k, claim.ClaimID, 100, 100), nil)
	wantErr(t, "renew another's", fresh().RenewClaim(ctx, k, strings.Repeat("A", 64), 100, 100), protocol.ErrNoClaim)
	wantErr(t, "delete without the claim", remove(fresh(), k, ids[:1], "x"), protocol.ErrNoClaim)
	wantErr(t, "delete", remove(fresh(), k, ids[:1], claim.ClaimID), nil)
	wantErr(t, "release", fresh().ReleaseClaim(ctx, k, claim.ClaimID), nil)
	if m, err := fresh().Message(ctx, k, ids[1].String()); err != nil || string(m.Body) != `"b"` {
		t.Errorf("message %+v, %v", m, err)
	}
	if list, err := fresh().MessagesByID(ctx, k, []string{ids[3].String(), ids[0].String(), ids[2].String()}); err != nil || bodiesOf(list) != "d c" {
		t.Errorf("by id %q, %v", bodiesOf(list), err)
	}
	if list, err := fresh().PopMessages(ctx, k, 1); err != nil || bodiesOf(list) != "b" {
		t.Errorf("popped %q, %v", bodiesOf(list), err)
	}
	if stats, err := fresh().QueueStats(ctx, k); err != nil || stats.Total != 2 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if created, err := fresh().CreateQueue(ctx, k, []byte(`{"x": 1}`)); err != nil || created {
		t.Errorf("made again: %v, %v", created, err)
	}
	wantErr(t, "purge", fresh().PurgeQueue(ctx, k, true, true), nil)
	if got := w.bodies(fresh(), k); got != "" {
		t.Errorf("after the purge: %q", got)
	}
	if q, err := fresh().UpdateQueue(ctx, k, func([]byte) ([]byte, error) { return []byte(`{"y": 2}`), nil }); err != nil || string(q.Metadata) != `{"y": 2}` {
		t.Errorf("updated to %+v, %v", q, err)
	}
	if q, err := fresh().Queue(ctx, k); err != nil || string(q.Metadata) != `{"y": 2}` || q.ID != ids[0].Queue {
		t.Errorf("the queue is %+v, %v", q, err)
	}
	wantErr(t, "delete the queue", fresh().DeleteQueue(ctx, k), nil)
	wantErr(t, "delete it again", fresh().DeleteQueue(ctx, k), protocol.ErrNoQueue)
	wantErr(t, "the first one hears of it", func() error { _, err := first.Queue(ctx, k); return err }(), protocol.ErrNoQueue)
}

func TestFeedsFindTheirQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	here, there := w.place(r, "here", 0), w.place(r, "there", one)
	ctx := t.Context()
	heads := make(map[int64]int64)
	for _, k := range []protocol.QueueKey{here, there} {
		head, err := r.Head(ctx, k)
		if err != nil || head.Last != 0 {
			t.Fatal(head, err)
		}
		w.post(r, k, "a", "b")
		heads[head.QueueID] = 2
	}
	other := w.router(slow) // knows no queue
	gone := int64(1 << 40)
	list := []int64{gone}
	for id := range heads {
		list = append(list, id)
	}
	if got, err := other.Heads(ctx, list); err != nil || !cmp.Equal(heads, got) {
		t.Errorf("heads %v, %v, want %v", got, err, heads)
	}
	wantErr(t, "observe", other.Observe(ctx, list), nil)
	for _, k := range []protocol.QueueKey{here, there} {
		q, err := other.Queue(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		page, err := w.router(slow).Feed(ctx, k, q.ID, 1, 10, 1000)
		if err != nil || page.Upto != 2 || bodiesOf(page.Messages) != "b" {
			t.Errorf("%s: page %+v, %v", k.Name, page, err)
		}
	}
	_, err := other.Feed(ctx, here, gone, 0, 10, 1000)
	wantErr(t, "a queue that is gone", err, protocol.ErrNoQueue)
}

func TestSubscriptionsFindTheirQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 1)
	k := w.place(r, "q", one)
	ctx := t.Context()
	sub := &protocol.Subscription{Queue: k, Subscriber: "http://x", TTL: 600, Confirmed: true}
	if err := r.CreateSubscription(ctx, sub, false); err != nil {
		t.Fatal(err)
	}
	other := w.router(slow)
	socket := &protocol.Subscription{Queue: k, Subscriber: "websocket:x", TTL: 600, Confirmed: true, Socket: true}
	wantErr(t, "subscribe a socket", other.CreateSubscription(ctx, socket, false), nil)
	here := w.place(r, "here", 0)
	local := &protocol.Subscription{Queue: here, Subscriber: "websocket:x", TTL: 600, Confirmed: true, Socket: true}
	wantErr(t, "subscribe a socket to the default pool", other.CreateSubscription(ctx, local, false), nil)
	all := []uuid.UUID{sub.ID, socket.ID, local.ID, uuid.New()}
	if known, err := other.KnownSubscriptions(ctx, all); err != nil || len(known) != 3 {
		t.Errorf("known: %v, %v", known, err)
	}
	wantErr(t, "end sockets", other.EndSocketSubscriptions(ctx, all), nil)
	if known, err := r.KnownSubscriptions(ctx, all); err != nil || len(known) != 1 {
		t.Errorf("known: %v, %v", known, err)
	}

	// They outlive the queue, which comes back to where they are.
	wantErr(t, "delete the queue", r.DeleteQueue(ctx, k), nil)
	ttl := int32(6000)
	wantErr(t, "update", other.UpdateSubscription(ctx, k, sub.ID, protocol.SubscriptionChange{TTL: &ttl}), nil)
	if list, err := other.Subscriptions(ctx, k, "", 10); err != nil || len(list) != 1 || list[0].TTL != ttl {
		t.Errorf("subscriptions of the deleted queue: %+v, %v", list, err)
	}
	if n := w.number(w.db(w.url), `SELECT extract(epoch FROM expires_at - now())::bigint FROM queue_home`); n < 5000 {
		t.Errorf("the home is kept for %d s", n)
	}
	for i := range 5 {
		w.post(other, k, "again")
		if at := w.where(r, k); at != one {
			t.Fatalf("made again in pool %d", at)
		}
		wantErr(t, "delete it again", r.DeleteQueue(ctx, k), nil)
		_ = i
	}
	wantErr(t, "unsubscribe", other.DeleteSubscription(ctx, k, sub.ID), nil)
	if _, err := r.Subscription(ctx, k, sub.ID); !errors.Is(err, protocol.ErrNoSubscription) {
		t.Errorf("the deleted subscription: %v", err)
	}
}

// A subscription in the default pool keeps its queue there.
func TestDefaultPoolIsAHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(func(cfg *Config) { slow(cfg); cfg.DefaultWeight = 0 })
	w.pool(r, "one", 1)
	k := w.place(r, "q", 0)
	sub := &protocol.Subscription{Queue: k, Subscriber: "http://x", TTL: 600, Confirmed: true}
	wantErr(t, "subscribe", r.CreateSubscription(t.Context(), sub, false), nil)
	wantErr(t, "delete", r.DeleteQueue(t.Context(), k), nil)
	w.post(r, k, "a")
	if at := w.where(r, k); at != 0 {
		t.Errorf("made again in pool %d", at)
	}
}

// A queue that is deleted and made again elsewhere is found by those who remember it where it was, and posts keep their
// order on the way.
func TestQueuesThatMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := w.router(slow), w.router(slow)
	one, _ := w.pool(r, "one", 0)
	two, _ := w.pool(r, "two", 0)
	k := w.place(r, "q", one)
	for round, pool := range []int64{two, 0, one, two, 0} {
		w.post(r, k, "old") // both remember the queue where it is
		w.post(other, k, "old")
		wantErr(t, "delete", other.DeleteQueue(t.Context(), k), nil)
		w.place(other, "q", pool)
		var posts []*protocol.Post
		var waits []waiter
		var want []string
		for i := range 300 {
			body := fmt.Sprintf("%d-%d", round, i)
			p, done := startPost(r, k, body)
			posts, waits, want = append(posts, p), append(waits, done), append(want, body)
		}
		for i, done := range waits {
			<-done
			if posts[i].Err != nil {
				t.Fatal(posts[i].Err)
			}
		}
		if got := w.bodies(r, k); got != strings.Join(want, " ") {
			t.Errorf("moved to pool %d: %q", pool, got)
		}
		if at := w.where(r, k); at != pool {
			t.Fatalf("the queue is in pool %d, want %d", at, pool)
		}
	}
	if n := len(r.routes.byKey); n > 1 {
		t.Errorf("%d routes left over", n)
	}
}

func TestRoutesAreBounded(t *testing.T) {
	t.Parallel()
	x := newRoutes(16)
	for i := range 1000 {
		x.learn(key(fmt.Sprint(i)), 7)
	}
	if n := len(x.byKey); n != 16 {
		t.Errorf("%d routes", n)
	}
	q := newQueueIDs(16)
	for i := range int64(1000) {
		q.learn(i, 7)
	}
	if n := len(q.pools); n != 16 {
		t.Errorf("%d ids", n)
	}
}

func TestListsOverPools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	ctx := t.Context()
	for i, name := range []string{"a", "bx", "c", "dx", "e"} {
		w.place(r, name, []int64{0, one}[i%2])
	}
	w.place(r, protocol.TopicPrefix+"t", one)
	_, err := r.UpdateQueue(ctx, key("bx"), func([]byte) ([]byte, error) { return []byte(`{"color": "red", "n": [1, 2]}`), nil })
	wantErr(t, "update", err, nil)
	// The catalogue's copy may be out of date.
	w.exec(w.db(w.url), `UPDATE queue SET metadata = '{"color": "blue"}' WHERE name = 'bx'`)
	for _, c := range []struct {
		page protocol.QueuePage
		want string
	}{
		{protocol.QueuePage{Limit: 10}, "a bx c dx e"},
		{protocol.QueuePage{Limit: 2, Marker: "a"}, "bx c"},
		{protocol.QueuePage{Limit: 10, Name: "x"}, "bx dx"},
		{protocol.QueuePage{Limit: 10, Topics: true}, protocol.TopicPrefix + "t"},
		{protocol.QueuePage{Limit: 10, Topics: true, Name: "topic"}, ""},
		{protocol.QueuePage{Limit: 10, Metadata: map[string]string{"color": "red"}}, "bx"},
		{protocol.QueuePage{Limit: 10, Metadata: map[string]string{"color": "red", "n": "[1,2]"}}, "bx"},
		{protocol.QueuePage{Limit: 10, Metadata: map[string]string{"color": "blue"}}, ""},
	} {
		c.page.Project = "p"
		list, err := r.Queues(ctx, c.page)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, q := range list {
			names = append(names, q.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.page, got, c.want)
		}
		c.page.Marker, c.page.Limit = "", 0
		if n, err := r.CountQueues(ctx, c.page); err != nil || c.page.Marker == "" && c.want != "bx c" && int(n) != len(names) {
			t.Errorf("%+v: counted %d, %v", c.page, n, err)
		}
	}
	// A queue that is being removed is not listed.
	w.exec(w.db(w.url), `UPDATE queue SET removed_at = now() WHERE name = 'dx'`)
	list, err := r.Queues(ctx, protocol.QueuePage{Project: "p", Name: "x", Limit: 10})
	if n, err2 := r.CountQueues(ctx, protocol.QueuePage{Project: "p"}); err != nil || err2 != nil || len(list) != 1 || n != 4 {
		t.Errorf("%v, %d, %v, %v", list, n, err, err2)
	}
}

// Posts that come while those before them are on their way to another pool wait for them.
func TestPostsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	one, _ := w.pool(r, "one", 0)
	k := w.place(r, "q", one)
	r.routes.forget(k, one)
	var hops []*postHop
	var waits []waiter
	for _, body := range []string{`"1"`, `"2"`} { // a store has them
		done := make(waiter)
		p := &protocol.Post{Queue: k, Messages: []protocol.NewMessage{{Body: []byte(body), TTL: 60}}, Waiter: done}
		hops, waits = append(hops, &postHop{r: r, post: p, waiter: done, hops: 1}), append(waits, done)
	}
	r.routes.mu.Lock()
	r.routes.getLocked(k).inflight = len(hops)
	r.routes.mu.Unlock()
	sendOn := func(h *postHop) {
		h.post.Err = &store.ElsewhereError{Placed: store.Placed{Pool: one}}
		h.Done()
		h.Flush()
	}
	sendOn(hops[0])
	_, done := startPost(r, k, "3")
	sendOn(hops[1])
	for _, done := range append(waits, done) {
		<-done
	}
	if got := w.bodies(r, k); got != "1 2 3" {
		t.Errorf("the order is %q", got)
	}
	if n := len(r.routes.byKey); n != 1 {
		t.Errorf("%d routes", n)
	}
}
