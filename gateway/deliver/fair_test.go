package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// hostSink is a sink whose endpoint is the URI's host.
type hostSink struct{ fakeSink }

func (s *hostSink) Endpoint(subscriber string) (string, error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(subscriber, "test://"), "/")
	return host, nil
}

// hostile makes the deliveries of project evil do what it says, and all others succeed.
func hostile(evil func(ctx context.Context) error) func(context.Context, *protocol.Durable, Notice) error {
	return func(ctx context.Context, d *protocol.Durable, _ Notice) error {
		if d.Subscription.Queue.Project == "evil" {
			return evil(ctx)
		}
		return nil
	}
}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

var evilKey = protocol.QueueKey{Project: "evil", Name: "q"}

// endless is a policy of retries without delay and without end.
const endless = `{"_retry_policy": {"retries_with_no_delay": 2147483647}}`

// TestEndlessRetries has subscribers that refuse everything at once, with a policy that never gives up, and another
// project's subscriber at the same endpoint.
func TestEndlessRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(evilKey)
		b.queue(testKey("q"))
		var attempts atomic.Int64
		sink := &hostSink{fakeSink{deliver: hostile(func(context.Context) error {
			attempts.Add(1)
			return &Failure{Reason: "no"}
		})}}
		cfg := DefaultConfig()
		for i := range 2 * cfg.MaxPerEndpoint {
			b.subscribe(evilKey, fmt.Sprintf("test://shared/%d", i), endless)
		}
		b.subscribe(testKey("q"), "test://shared/good", `{}`)
		b.post(evilKey, 1)
		b.post(testKey("q"), 1)
		e, stop := startBubble(t, b, cfg, sink)
		b.awaitDelivered(e, 1)
		time.Sleep(time.Minute) // in the bubble
		stop()
		if n, most := attempts.Load(), int64(2*cfg.MaxPerEndpoint*(quickRetries+65)); n > most {
			t.Errorf("%d attempts in a minute, want %d at most", n, most)
		}
	})
}

// TestProjectsTakeTurns has thousands of endpoints of one project that hang, and one of another project that is not known
// yet: it need not wait for them.
func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(evilKey)
		b.queue(testKey("q"))
		sink := &hostSink{fakeSink{deliver: hostile(hang)}}
		for i := range 3000 {
			b.subscribe(evilKey, fmt.Sprintf("test://dead%d", i), `{}`)
		}
		b.post(evilKey, 1)
		cfg := DefaultConfig()
		e, stop := startBubble(t, b, cfg, sink)
		time.Sleep(cfg.RequestTimeout * 3 / 2) // in the bubble: both lanes are full
		b.subscribe(testKey("q"), "test://new", `{}`)
		queue, head := b.post(testKey("q"), 1)
		e.SubscriptionsChanged(testKey("q"))
		e.Wake(queue, head)
		start := time.Now()
		b.awaitDelivered(e, 1)
		if took := time.Since(start); took > time.Second {
			t.Errorf("a newcomer waits %s behind those that hang", took)
		}
		stop()
	})
}

// TestSharedEndpoint has a project whose requests to an endpoint hang, but for some that keep its breaker closed, and
// another whose requests to it are taken.
func TestSharedEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(evilKey)
		b.queue(testKey("q"))
		var n atomic.Int64
		sink := &hostSink{fakeSink{deliver: hostile(func(ctx context.Context) error {
			if n.Add(1)%4 == 0 {
				return &Failure{Reason: "no"}
			}
			return hang(ctx)
		})}}
		for i := range 100 {
			b.subscribe(evilKey, fmt.Sprintf("test://shared/%d", i), `{}`)
		}
		b.subscribe(testKey("q"), "test://shared/good", `{}`)
		b.post(evilKey, 1)
		cfg := DefaultConfig()
		cfg.SaveInterval = 0 // what awaitDelivered notices
		e, stop := startBubble(t, b, cfg, sink)
		start := time.Now()
		for i := range 100 {
			queue, head := b.post(testKey("q"), 1)
			e.Wake(queue, head)
			b.awaitDelivered(e, int64(i+1))
			time.Sleep(time.Second) // in the bubble
		}
		if took := time.Since(start); took > 110*time.Second {
			t.Errorf("100 deliveries with a second between two take %s beside another project's that hang", took)
		}
		stop()
	})
}

// TestSlotsAreFound has many projects at few endpoints with little room, and requests that take their time and fail as
// chance has it: everything gets its turn.
func TestSlotsAreFound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			cfg := DefaultConfig()
			cfg.MaxRequests, cfg.MaxPerEndpoint = 4+random.IntN(12), 1+random.IntN(3)
			cfg.BreakerFailures = 1 + random.IntN(4)
			var at atomic.Int64
			sink := &hostSink{fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
				n := at.Add(1)
				time.Sleep(time.Duration(n%5) * 700 * time.Millisecond) // in the bubble
				if n%3 == 0 {
					return &Failure{Reason: "no", Down: n%2 == 0}
				}
				return nil
			}}}
			b := newFakeBackend()
			const projects, subscribers, messages = 10, 3, 4
			for i := range projects {
				key := protocol.QueueKey{Project: fmt.Sprint(i), Name: "q"}
				b.queue(key)
				for n := range subscribers {
					b.subscribe(key, fmt.Sprintf("test://%d/%d", random.IntN(3), n), endless)
				}
				b.post(key, messages)
			}
			e, stop := startBubble(t, b, cfg, sink)
			b.awaitDelivered(e, projects*subscribers*messages)
			synctest.Wait()
			e.endpoints.mu.Lock()
			for l := range lanes {
				if at := &e.endpoints.ready[l]; !at.empty() || len(at.byProject) > 0 || e.endpoints.running[l] != 0 {
					t.Errorf("seed %d: lane %d is not empty", seed, l)
				}
			}
			for name, h := range e.endpoints.hosts {
				if h.running != 0 || h.waiting.Len() != 0 {
					t.Errorf("seed %d: %s has %d running, %d waiting", seed, name, h.running, h.waiting.Len())
				}
			}
			e.endpoints.mu.Unlock()
			stop()
		})
	}
}

// TestLongRunsYield has a project with a slot's worth of endpoints that take long answers for well, and another project
// in the same lane.
func TestLongRunsYield(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(evilKey)
		b.queue(testKey("q"))
		cfg := DefaultConfig()
		cfg.MaxPerEndpoint = 1
		sink := &hostSink{fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
			time.Sleep(cfg.SlowAfter * 9 / 10) // in the bubble
			return nil
		}}}
		b.subscribe(evilKey, "test://shared/slow", `{}`)
		b.subscribe(testKey("q"), "test://shared/good", `{}`)
		b.post(evilKey, 100)
		e, stop := startBubble(t, b, cfg, sink)
		time.Sleep(5 * time.Second) // in the bubble
		queue, head := b.post(testKey("q"), 1)
		e.Wake(queue, head)
		before := e.Stats().Delivered
		b.awaitDelivered(e, before+5)
		stop()
		for _, s := range b.subs {
			if s.d.Subscription.Queue == testKey("q") && s.progress.Cursor != 1 {
				t.Errorf("not delivered while the other page was")
			}
		}
	})
}

// TestLargeOptionsAreNotKept: what is large about a subscription is read when it is needed.
func TestLargeOptionsAreNotKept(t *testing.T) {
	t.Parallel()
	b := newFakeBackend()
	b.queue(testKey("q"))
	server := newReceiver(t, nil)
	id := b.subscribe(testKey("q"), server.URL, `{"post_data": "[`+strings.Repeat("0,", 8000)+`\"$zaqar_message$\"]"}`)
	cfg := testConfig()
	e := startEngine(t, b, cfg, Options{})
	for i := range 3 {
		queue, head := b.post(testKey("q"), 1)
		e.Wake(queue, head)
		if got := server.awaitTaken(t, i+1)[i]; len(got.body) < 16000 || !strings.Contains(got.body, `"Notification"`) {
			t.Fatalf("request %d has %d bytes", i, len(got.body))
		}
		b.await(t, "progress saved", func() bool { return b.subs[id].progress.Cursor == int64(i+1) })
		e.mu.Lock()
		if s := e.streams[id]; s.state != running && s.d.Subscription.Options != nil {
			t.Error("the options are kept")
		}
		e.mu.Unlock()
	}
}

// TestEnlargedRequests: requests that hold their message many times are under way only as far as there is memory for them.
func TestEnlargedRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(evilKey)
		b.queue(testKey("q"))
		sink := &hostSink{fakeSink{deliver: hostile(hang)}}
		const options = `{"post_data": "[\"$zaqar_message$\", \"$zaqar_message$\", \"$zaqar_message$\", \"$zaqar_message$\"]"}`
		for i := range 100 {
			b.subscribe(evilKey, fmt.Sprintf("test://dead%d", i), options)
		}
		b.post(evilKey, 1)
		cfg := DefaultConfig()
		e, stop := startBubble(t, b, cfg, sink)
		time.Sleep(cfg.RequestTimeout / 2) // in the bubble
		sink.mu.Lock()
		running := sink.running
		sink.mu.Unlock()
		if most := cfg.TotalPageBytes / 4 / (4 * 2 * cfg.PageBytes); running == 0 || running > most {
			t.Errorf("%d requests at a time, want %d at most", running, most)
		}
		b.subscribe(testKey("q"), "test://new", `{}`)
		queue, head := b.post(testKey("q"), 1)
		e.SubscriptionsChanged(testKey("q"))
		e.Wake(queue, head)
		start := time.Now()
		b.awaitDelivered(e, 1)
		if took := time.Since(start); took > time.Second {
			t.Errorf("an ordinary request waits %s for them", took)
		}
		stop()
	})
}

func TestLineup(t *testing.T) {
	t.Parallel()
	l := newLineup(8)
	for i := range 20 {
		l.push(&endpoint{endpointKey: endpointKey{"many", fmt.Sprint(i)}})
	}
	l.push(&endpoint{endpointKey: endpointKey{"one", "x"}})
	var order []string
	for ep := l.next(); ep != nil; ep = l.next() {
		order = append(order, ep.project)
		l.count(ep.project, 1)
	}
	if got, want := strings.Join(order, " "), "many one many many many many many many"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	l.count("many", -1)
	if ep := l.next(); ep == nil || ep.name != "7" {
		t.Errorf("%v after a slot was given back", ep)
	}
}
