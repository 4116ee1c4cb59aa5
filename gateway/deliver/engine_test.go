package deliver

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// testConfig is quick to notice what the engine is not told of.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.LeaseInterval, cfg.PollInterval, cfg.SaveInterval = 10*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond
	cfg.BreakerPause = 20 * time.Millisecond
	cfg.Webhook.AllowNetworks = []string{"127.0.0.0/8"}
	return cfg
}

// startEngine starts an engine with a webhook sink; the test's end stops it.
func startEngine(t testing.TB, b Backend, cfg Config, opt Options) *Engine {
	t.Helper()
	hook, err := NewWebhook(&cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	opt.Log = zerolog.Nop()
	p := NewEndpoints(cfg, map[string]Sink{"http": hook, "https": hook}, zerolog.Nop())
	e, err := New(b, p, cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel() // what is under way is cut
		e.Stop(ctx)
		p.Close()
		hook.Close()
	})
	return e
}

// quickPolicy retries at once so often and not again.
func quickPolicy(retries int) string {
	return fmt.Sprintf(`{"_retry_policy": {"retries_with_no_delay": %d, "minimum_delay_retries": 0, "maximum_delay_retries": 0,
		"minimum_delay": 0, "maximum_delay": 0}}`, retries)
}

// bodies are the numbers of the messages in requests.
func bodies(list []taken) (numbers []string) {
	for _, r := range list {
		_, rest, _ := strings.Cut(r.body, `"body":`)
		number, _, _ := strings.Cut(rest, `,`)
		numbers = append(numbers, strings.TrimSpace(number))
	}
	return numbers
}

// upto are the numbers from 1 to n.
func upto(n int) (numbers []string) {
	for i := range n {
		numbers = append(numbers, fmt.Sprint(i+1))
	}
	return numbers
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestDeliversInOrder(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, nil)
	id := b.subscribe(testKey("q"), server.URL, `{}`)
	b.post(testKey("q"), 250) // more than two pages
	cfg := testConfig()
	cfg.PollInterval = time.Hour // hints alone must do from here on
	e := startEngine(t, b, cfg, Options{})
	equal(t, "what was there", bodies(server.awaitTaken(t, 250)), upto(250))

	queue, head := b.post(testKey("q"), 1)
	e.Wake(queue, head)
	equal(t, "with a hint", bodies(server.awaitTaken(t, 251)), upto(251))
	queue, _ = b.post(testKey("q"), 2)
	e.Committed([]protocol.Committed{{Queue: testKey("q"), QueueID: queue, First: 252, Messages: make([]protocol.NewMessage, 2)}})
	equal(t, "after a commit", bodies(server.awaitTaken(t, 253)), upto(253))
	b.await(t, "progress saved", func() bool { return b.subs[id].progress.Cursor == 253 })
	if stats := e.Stats(); stats.Delivered != 253 || stats.Subscriptions != 1 || stats.Failed != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestFailuresKeepOrder has an endpoint that answers 500 two times out of three.
func TestFailuresKeepOrder(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, func(n int, _ http.ResponseWriter, _ *http.Request) int {
		return []int{200, 500, 500}[n%3]
	})
	b.subscribe(testKey("q"), server.URL, quickPolicy(2))
	b.post(testKey("q"), 30)
	e := startEngine(t, b, testConfig(), Options{})
	got := server.awaitTaken(t, 30)
	equal(t, "delivered", bodies(got), upto(30))
	for i, r := range got {
		if want := fmt.Sprintf("1-%x", i+1); r.header.Get("Webhook-Id") != want {
			t.Errorf("webhook-id %s, want %s", r.header.Get("Webhook-Id"), want)
		}
	}
	if s := e.Stats(); s.Buried != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDeadDeliveries has a message that the endpoint never takes until it is asked to again.
func TestDeadDeliveries(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	var well atomic.Bool
	server := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) int {
		if r.Header.Get("Webhook-Id") == "1-2" && !well.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	id := b.subscribe(testKey("q"), server.URL, quickPolicy(3))
	b.post(testKey("q"), 3)
	e := startEngine(t, b, testConfig(), Options{})
	equal(t, "delivered", bodies(server.awaitTaken(t, 2)), []string{"1", "3"})
	b.await(t, "the dead delivery", func() bool { return len(b.subs[id].dead) == 1 })
	dead := b.subs[id].dead[0]
	if dead.Attempts != 4 || dead.Reason != "answered 500 Internal Server Error" || dead.MessageID.N != 2 || string(dead.Body) != "2" {
		t.Errorf("%+v", dead)
	}

	again := func() { b.change(id, func(s *fakeSub) { s.dead[0].Resend, s.d.Resends = true, true }) }
	again()
	e.SubscriptionsChanged(testKey("q"))
	b.await(t, "the failed resend", func() bool { return !b.subs[id].dead[0].Resend })
	well.Store(true)
	again()
	e.SubscriptionsChanged(testKey("q"))
	got := server.awaitTaken(t, 3)[2]
	if got.header.Get("Webhook-Id") != "1-2" || bodies([]taken{got})[0] != "2" {
		t.Errorf("resent: %v %s", got.header, got.body)
	}
	b.await(t, "the end of the dead delivery", func() bool { return len(b.subs[id].dead) == 0 })
}

// TestEndpointDown has a server that is down for a while: nothing is lost, the order is kept, and few attempts are made.
func TestEndpointDown(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	var up atomic.Bool
	server := newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	})
	const subscribers = 50
	for i := range subscribers {
		b.subscribe(testKey("q"), fmt.Sprintf("%s/%d", server.URL, i), quickPolicy(1000))
	}
	b.post(testKey("q"), 4)
	cfg := testConfig()
	e := startEngine(t, b, cfg, Options{})
	server.await(t, "probes while it is down", func() bool { return server.n >= cfg.BreakerFailures+cfg.MaxPerEndpoint+5 })
	if opened := e.endpoints.Stats().Opened; opened != 1 {
		t.Errorf("the breaker opened %d times", opened)
	}
	up.Store(true)
	got := server.awaitTaken(t, subscribers*4)
	for i := range subscribers {
		var mine []taken
		for _, r := range got {
			if r.path == fmt.Sprintf("/%d", i) {
				mine = append(mine, r)
			}
		}
		equal(t, fmt.Sprint("subscriber ", i), bodies(mine), upto(4))
	}
	if s := e.Stats(); s.Buried != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHangingEndpoint has a thousand subscriptions at an endpoint that has stopped to answer, and one that is well.
func TestHangingEndpoint(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	var at, most atomic.Int64
	hang := newReceiver(t, func(n int, _ http.ResponseWriter, r *http.Request) int {
		if n == 1 {
			return http.StatusOK // so that it gets as many requests as an endpoint that is well
		}
		now := at.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		<-r.Context().Done()
		at.Add(-1)
		return http.StatusTeapot
	})
	server := newReceiver(t, nil)
	b.queue(testKey("dead"))
	for i := range 1000 {
		b.subscribe(testKey("dead"), fmt.Sprintf("%s/%d", hang.URL, i), `{}`)
	}
	b.post(testKey("dead"), 3)
	b.queue(testKey("well"))
	b.subscribe(testKey("well"), server.URL, `{}`)
	cfg := testConfig()
	cfg.PollInterval = time.Hour
	e := startEngine(t, b, cfg, Options{}) // its requests hang for ten seconds
	hang.await(t, "requests that hang", func() bool { return hang.n == 1+cfg.MaxPerEndpoint })
	b.await(t, "leases", func() bool { return e.Stats().Subscriptions == 1001 })
	goroutines := runtime.NumGoroutine()
	for i := range 200 { // each within the time of one request that hangs, or the test takes too long
		queue, head := b.post(testKey("well"), 1)
		e.Wake(queue, head)
		server.awaitTaken(t, i+1)
	}
	if hang.n > 1+cfg.MaxPerEndpoint || most.Load() > int64(cfg.MaxPerEndpoint) {
		t.Errorf("%d requests at a time to the endpoint that hangs", most.Load())
	}
	if stats := e.endpoints.Stats(); stats.Requests > cfg.MaxPerEndpoint+1 {
		t.Errorf("%+v", stats)
	}
	if now := runtime.NumGoroutine(); now > goroutines+200 {
		t.Errorf("%d goroutines, after %d", now, goroutines)
	}
}

// TestManyDeadEndpoints has more endpoints that hang than there are slots.
func TestManyDeadEndpoints(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("dead"))
	b.queue(testKey("well"))
	hang := make(chan struct{})
	sink := &fakeSink{deliver: func(ctx context.Context, d *protocol.Durable, _ Notice) error {
		if d.Subscription.Queue == testKey("well") {
			return nil
		}
		select {
		case <-hang:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	cfg := testConfig()
	cfg.MaxRequests = 40
	e := startFake(t, b, cfg, sink)
	b.subscribe(testKey("well"), "test://well", `{}`)
	b.post(testKey("well"), 1)
	b.await(t, "the first delivery", func() bool { return e.Stats().Delivered == 1 }) // now it is known to be well
	for i := range 500 {
		b.subscribe(testKey("dead"), fmt.Sprintf("test://dead%d", i), `{}`)
	}
	b.post(testKey("dead"), 1)
	sink.await(t, "all slots of endpoints that are not known", func(s *fakeSink) bool { return s.running == 9 })
	for i := range 100 {
		queue, head := b.post(testKey("well"), 1)
		e.Wake(queue, head)
		sink.await(t, "a delivery", func(s *fakeSink) bool { return s.taken >= i+2 })
	}
	close(hang)
	sink.await(t, "the rest", func(s *fakeSink) bool { return s.taken == 601 })
}

// TestWrongHint hints at messages that do not exist.
func TestWrongHint(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, nil)
	b.subscribe(testKey("q"), server.URL, `{}`)
	cfg := testConfig()
	cfg.PollInterval = time.Hour
	e := startEngine(t, b, cfg, Options{})
	b.await(t, "the lease", func() bool { return e.Stats().Subscriptions == 1 })
	for i := range 5 {
		queue, head := b.post(testKey("q"), 1)
		e.Wake(queue, head+100)
		e.Wake(queue+1, 7) // another queue
		server.awaitTaken(t, i+1)
	}
	b.await(t, "rest", func() bool { return e.endpoints.Stats().Requests == 0 })
	if b.reads > 10 {
		t.Errorf("%d reads", b.reads)
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, nil)
	b.subscribe(testKey("q"), server.URL, `{}`)
	b.post(testKey("q"), 5)
	b.queues[1].expired = 3
	e := startEngine(t, b, testConfig(), Options{})
	got := server.awaitTaken(t, 3)
	const gap = `{"Message_Type": "Gap", "queue_name": "q", "body": {"from": 1, "to": 3, "reason": "expired"}}`
	if compact(got[0].body) != compact(gap) || got[0].header.Get("Webhook-Id") != "gap-1-1-3" {
		t.Errorf("%v %s", got[0].header, got[0].body)
	}
	equal(t, "after the gap", bodies(got[1:]), []string{"4", "5"})

	b.deleteQueue(testKey("q"))
	e.QueueChanged(testKey("q"), 1)
	got = server.awaitTaken(t, 4)
	if !strings.Contains(got[3].body, `"deleted"`) {
		t.Errorf("after the deletion: %s", got[3].body)
	}
	b.queue(testKey("q"))
	b.post(testKey("q"), 2)
	e.QueueChanged(testKey("q"), 2)
	equal(t, "the queue made again", bodies(server.awaitTaken(t, 6)[4:]), []string{"1", "2"})
}

// TestQueueMadeLater has a subscription to a queue that does not exist yet.
func TestQueueMadeLater(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	server := newReceiver(t, nil)
	id := b.subscribe(testKey("q"), server.URL, `{}`)
	cfg := testConfig()
	cfg.PollInterval = time.Hour
	e := startEngine(t, b, cfg, Options{})
	b.await(t, "the lease", func() bool { return e.Stats().Subscriptions == 1 })
	b.queue(testKey("q"))
	queue, _ := b.post(testKey("q"), 2)
	e.Committed([]protocol.Committed{{Queue: testKey("q"), QueueID: queue, First: 1, Messages: make([]protocol.NewMessage, 2)}})
	equal(t, "from the beginning", bodies(server.awaitTaken(t, 2)), upto(2))
	b.await(t, "progress saved", func() bool { return b.subs[id].progress == protocol.Progress{QueueID: 1, Cursor: 2} })
}

// TestLeaseLost has a request under way when another gateway takes over.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	cut := make(chan struct{})
	server := newReceiver(t, func(n int, _ http.ResponseWriter, r *http.Request) int {
		if n == 1 {
			<-r.Context().Done()
			close(cut)
			return http.StatusTeapot
		}
		return http.StatusOK
	})
	id := b.subscribe(testKey("q"), server.URL, `{}`)
	b.post(testKey("q"), 1)
	e := startEngine(t, b, testConfig(), Options{})
	server.await(t, "the request", func() bool { return server.n == 1 })
	b.change(id, func(s *fakeSub) { s.d.Token++; s.until = time.Now().Add(time.Hour) })
	e.Reconnected()
	<-cut // long before its timeout
	b.await(t, "the subscription given up", func() bool { return e.Stats().Subscriptions == 0 })
	if e.Stats().Failed != 0 {
		t.Error("what was cut counts as failed")
	}
	b.change(id, func(s *fakeSub) { s.until = time.Time{} })
	equal(t, "with the next lease", bodies(server.awaitTaken(t, 1)), upto(1))
}

func TestSubscriberMoves(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	bad := newReceiver(t, func(int, http.ResponseWriter, *http.Request) int { return http.StatusInternalServerError })
	server := newReceiver(t, nil)
	id := b.subscribe(testKey("q"), bad.URL, `{"_retry_policy": {"retries_with_no_delay": 0, "minimum_delay": 3600, "maximum_delay": 7200}}`)
	b.post(testKey("q"), 1)
	e := startEngine(t, b, testConfig(), Options{})
	b.await(t, "the long wait", func() bool { return b.subs[id].progress.Wait == time.Hour })
	b.change(id, func(s *fakeSub) { s.d.Subscription.Subscriber = server.URL + "/new" })
	e.SubscriptionsChanged(testKey("q"))
	server.awaitTaken(t, 1)
	if stats := e.endpoints.Stats(); stats.Endpoints != 1 {
		t.Errorf("%+v", stats)
	}
}

// TestStop has a request under way when the engine is stopped: it ends, its progress is saved, and the lease given back.
func TestStop(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	ending := make(chan struct{})
	server := newReceiver(t, func(n int, _ http.ResponseWriter, _ *http.Request) int {
		if n == 2 {
			<-ending
		}
		return http.StatusOK
	})
	id := b.subscribe(testKey("q"), server.URL, `{}`)
	b.post(testKey("q"), 3)
	cfg := testConfig()
	cfg.SaveInterval = 10 * time.Second
	e := startEngine(t, b, cfg, Options{})
	server.await(t, "two requests", func() bool { return server.n == 2 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		e.Stop(t.Context())
	}()
	<-e.taking.Done()
	close(ending)
	<-stopped
	equal(t, "delivered", bodies(server.awaitTaken(t, 2)), upto(2))
	if s := b.subs[id]; s.progress.Cursor != 2 || !s.until.IsZero() {
		t.Errorf("%+v", s)
	}
	e.Stop(t.Context()) // again
}

// TestDatabaseAway has a database that does not answer for a while.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, nil)
	id := b.subscribe(testKey("q"), server.URL, `{}`)
	e := startEngine(t, b, testConfig(), Options{})
	b.await(t, "the lease", func() bool { return e.Stats().Subscriptions == 1 })
	b.mu.Lock()
	b.fail = fmt.Errorf("test: %w", protocol.ErrUnavailable)
	b.mu.Unlock()
	queue, head := b.post(testKey("q"), 20)
	e.Wake(queue, head)
	b.await(t, "reads that fail", func() bool { return b.failed >= 3 })
	b.mu.Lock()
	b.fail = nil
	b.mu.Unlock()
	equal(t, "delivered", bodies(server.awaitTaken(t, 20)), upto(20))
	b.await(t, "progress saved", func() bool { return b.subs[id].progress.Cursor == 20 })
}

// TestConfirmation asks an unconfirmed subscriber, and delivers once it has confirmed.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, func(n int, _ http.ResponseWriter, _ *http.Request) int {
		if n == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	id := b.subscribe(testKey("q"), server.URL, quickPolicy(3))
	b.subs[id].d.Subscription.Confirmed, b.subs[id].d.Confirm = false, true
	silent := b.subscribe(testKey("q"), server.URL+"/silent", `{}`)
	b.subs[silent].d.Subscription.Confirmed = false
	b.post(testKey("q"), 1)
	e := startEngine(t, b, testConfig(), Options{RequireConfirmation: true, Confirmer: fakeConfirmer{}})
	got := server.awaitTaken(t, 1)[0]
	if got.body != `{"confirm": "`+id.String()+`"}` || !strings.HasPrefix(got.header.Get("Webhook-Id"), "confirm-") {
		t.Errorf("%v %s", got.header, got.body)
	}
	b.await(t, "the lease given back", func() bool { return b.subs[id].until.IsZero() && !b.subs[id].d.Confirm })
	b.change(id, func(s *fakeSub) { s.d.Subscription.Confirmed = true })
	e.SubscriptionsChanged(testKey("q"))
	equal(t, "delivered", bodies(server.awaitTaken(t, 2)[1:]), upto(1))
	if server.n != 3 {
		t.Errorf("%d requests", server.n)
	}
}

type fakeConfirmer struct{}

func (fakeConfirmer) Confirmation(d *protocol.Durable) (Notice, error) {
	return Notice{Confirmation: &Confirmation{Body: fmt.Appendf(nil, `{"confirm": "%s"}`, uuid.UUID(d.ID))}}, nil
}
