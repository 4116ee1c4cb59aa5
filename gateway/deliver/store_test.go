package deliver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/gateway/deliver"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

var _ deliver.Backend = (*store.Store)(nil)

// node is a store with an engine, as a gateway has them.
type node struct {
	store  *store.Store
	engine *deliver.Engine
	// killed makes the node's database and its webhooks fail, as if its process were gone.
	killed atomic.Bool
}

// mortal is a node's Backend: none of its statements succeeds once the node is killed.
type mortal struct {
	*store.Store
	node *node
}

func (m mortal) alive() error {
	if m.node.killed.Load() {
		return protocol.ErrUnavailable
	}
	return nil
}

func (m mortal) RenewDurable(ctx context.Context, l []protocol.Lease, d time.Duration) ([]protocol.DurableState, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.Store.RenewDurable(ctx, l, d)
}

func (m mortal) LeaseDurable(ctx context.Context, limit int, d time.Duration, unconfirmed bool) ([]protocol.Durable, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.Store.LeaseDurable(ctx, limit, d, unconfirmed)
}

func (m mortal) SaveProgress(ctx context.Context, l protocol.Lease, p protocol.Progress) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.SaveProgress(ctx, l, p)
}

func (m mortal) ReleaseDurable(ctx context.Context, l []protocol.Lease) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.ReleaseDurable(ctx, l)
}

// mortalSink sends nothing once the node is killed.
type mortalSink struct {
	deliver.Sink
	node *node
}

func (s mortalSink) Deliver(ctx context.Context, d *protocol.Durable, n deliver.Notice) error {
	if s.node.killed.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Sink.Deliver(ctx, d, n)
}

// Committed, QueueChanged and Released make a node its store's Observer.
func (n *node) Committed(batch []protocol.Committed)           { n.engine.Committed(batch) }
func (n *node) QueueChanged(key protocol.QueueKey, id int64)   { n.engine.QueueChanged(key, id) }
func (n *node) Released(_ protocol.QueueKey, _ int64, _ int64) {}

func quickConfig() deliver.Config {
	cfg := deliver.DefaultConfig()
	cfg.Lease, cfg.RequestTimeout = time.Second, 400*time.Millisecond
	cfg.LeaseInterval, cfg.PollInterval = 20*time.Millisecond, 100*time.Millisecond
	cfg.Webhook.AllowNetworks = []string{"127.0.0.0/8"}
	return cfg
}

func startNode(t testing.TB, url string, cfg deliver.Config) *node {
	t.Helper()
	storeConfig := store.DefaultConfig()
	storeConfig.DatabaseURL = url
	s, err := store.Open(t.Context(), storeConfig, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	hook, err := deliver.NewWebhook(&cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{store: s}
	sink := mortalSink{Sink: hook, node: n}
	endpoints := deliver.NewEndpoints(cfg, map[string]deliver.Sink{"http": sink}, zerolog.Nop())
	n.engine, err = deliver.New(mortal{Store: s, node: n}, endpoints, cfg, deliver.Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s.SetObserver(n)
	s.Start()
	n.engine.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		if n.killed.Load() {
			cancel()
		}
		n.engine.Stop(ctx)
		endpoints.Close()
		hook.Close()
		s.Stop(ctx)
	})
	return n
}

// waiter waits for a post.
type waiter chan struct{}

func (w waiter) Done()  { close(w) }
func (w waiter) Flush() {}

// post stores messages whose bodies are the numbers from first on.
func (n *node) post(t testing.TB, key protocol.QueueKey, first, count int) {
	t.Helper()
	for count > 0 {
		p := &protocol.Post{Queue: key, Waiter: make(waiter), Deadline: time.Now().Add(10 * time.Second)}
		for range min(count, 100) {
			p.Messages = append(p.Messages, protocol.NewMessage{Body: fmt.Appendf(nil, "%d", first), TTL: 3600})
			first++
		}
		count -= len(p.Messages)
		n.store.Post(p)
		<-p.Waiter.(waiter)
		if p.Err != nil {
			t.Fatal(p.Err)
		}
	}
}

func (n *node) subscribe(t testing.TB, key protocol.QueueKey, subscriber string) *protocol.Subscription {
	t.Helper()
	sub := &protocol.Subscription{Queue: key, Subscriber: subscriber, TTL: 3600}
	if err := n.store.CreateSubscription(t.Context(), sub, false); err != nil {
		t.Fatal(err)
	}
	return sub
}

// webhook remembers the numbers that each path was sent.
type webhook struct {
	*httptest.Server
	answer func(n int) int // about request n (from 1) of all

	mu      sync.Mutex
	n       int
	got     map[string][]int
	changed chan struct{}
}

func newWebhook(t testing.TB, answer func(n int) int) *webhook {
	t.Helper()
	h := &webhook{answer: answer, got: make(map[string][]int), changed: make(chan struct{})}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, rest, _ := strings.Cut(string(body), `"body":`)
	number := -1 // a gap
	_, _ = fmt.Sscan(strings.Trim(rest, " "), &number)
	h.mu.Lock()
	h.n++
	status := http.StatusOK
	if h.answer != nil {
		status = h.answer(h.n)
	}
	if status == http.StatusOK {
		h.got[r.URL.Path] = append(h.got[r.URL.Path], number)
		close(h.changed)
		h.changed = make(chan struct{})
	}
	h.mu.Unlock()
	w.WriteHeader(status)
}

// await waits until ok, which is called with the lock held.
func (h *webhook) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		h.mu.Lock()
		is, changed := ok(), h.changed
		h.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestTakeover kills a gateway in the middle of its deliveries: another goes on after the lease. Nothing is lost, the
// order is kept, and only what was not saved comes twice.
func TestTakeover(t *testing.T) {
	t.Parallel()
	const subscribers, messages = 5, 400
	url := storetest.URL(t)
	cfg := quickConfig()
	first := startNode(t, url, cfg)
	key := protocol.QueueKey{Project: "p", Name: "q"}
	hook := newWebhook(t, func(n int) int {
		if n == subscribers*messages/3 {
			first.killed.Store(true)
		}
		if n%7 == 0 {
			return http.StatusInternalServerError // order is kept over failures, too
		}
		return http.StatusOK
	})
	for i := range subscribers {
		first.subscribe(t, key, fmt.Sprintf("%s/%d", hook.URL, i))
	}
	first.post(t, key, 1, messages)
	hook.await(t, "the kill", func() bool { return first.killed.Load() })
	second := startNode(t, url, cfg)
	second.post(t, key, messages+1, 10)
	hook.await(t, "all messages", func() bool {
		for i := range subscribers {
			got := hook.got[fmt.Sprintf("/%d", i)]
			if len(got) == 0 || got[len(got)-1] != messages+10 {
				return false
			}
		}
		return true
	})
	for i := range subscribers {
		checkTakeover(t, i, hook.got[fmt.Sprintf("/%d", i)], messages+10)
	}
}

// checkTakeover checks that the numbers go from 1 to last in steps of one, but for one step back.
func checkTakeover(t *testing.T, subscriber int, got []int, last int) {
	t.Helper()
	back := 0
	for i, n := range got {
		before := 0
		if i > 0 {
			before = got[i-1]
		}
		switch {
		case n == before+1:
		case n <= before && back == 0:
			back = before - n + 1
		default:
			t.Fatalf("subscriber %d: %d comes after %d", subscriber, n, before)
		}
	}
	if len(got) != last+back {
		t.Errorf("subscriber %d: %d messages, %d of them twice", subscriber, len(got), back)
	}
}

// TestStoreDeadDelivery buries a message in the real store and sends it again.
func TestStoreDeadDelivery(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), quickConfig())
	key := protocol.QueueKey{Project: "p", Name: "q"}
	var well atomic.Bool
	hook := newWebhook(t, func(int) int {
		if well.Load() {
			return http.StatusOK
		}
		return http.StatusGone
	})
	sub := &protocol.Subscription{Queue: key, Subscriber: hook.URL + "/0", TTL: 3600, Options: []byte(`{"_retry_policy":
		{"retries_with_no_delay": 1, "minimum_delay_retries": 0, "maximum_delay_retries": 0, "minimum_delay": 0, "maximum_delay": 0}}`)}
	if err := n.store.CreateSubscription(t.Context(), sub, false); err != nil {
		t.Fatal(err)
	}
	n.post(t, key, 1, 1)
	var dead []protocol.DeadDelivery
	for tick := time.NewTicker(10 * time.Millisecond); len(dead) == 0; <-tick.C {
		var err error
		if dead, err = n.store.DeadDeliveries(t.Context(), key, sub.ID, 0, 10); err != nil {
			t.Fatal(err)
		}
	}
	if dead[0].Attempts != 2 || dead[0].Reason != "answered 410 Gone" || string(dead[0].Body) != "1" {
		t.Errorf("%+v", dead[0])
	}
	well.Store(true)
	n.post(t, key, 2, 1)
	if _, err := n.store.ResendDeliveries(t.Context(), key, sub.ID, nil); err != nil {
		t.Fatal(err)
	}
	n.engine.SubscriptionsChanged(key)
	hook.await(t, "both messages", func() bool { return len(hook.got["/0"]) == 2 })
}

// TestQueueDeletedInStore has a queue deleted and made again under its subscribers.
func TestQueueDeletedInStore(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), quickConfig())
	key := protocol.QueueKey{Project: "p", Name: "q"}
	hook := newWebhook(t, nil)
	n.subscribe(t, key, hook.URL+"/0")
	n.post(t, key, 1, 2)
	hook.await(t, "two messages", func() bool { return len(hook.got["/0"]) == 2 })
	if err := n.store.DeleteQueue(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	hook.await(t, "the gap", func() bool { return len(hook.got["/0"]) == 3 })
	n.post(t, key, 3, 2)
	hook.await(t, "two more", func() bool { return len(hook.got["/0"]) == 5 })
	if got := fmt.Sprint(hook.got["/0"]); got != "[1 2 -1 3 4]" {
		t.Error(got)
	}
}
