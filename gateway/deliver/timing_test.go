package deliver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// startBubble starts an engine in a synctest bubble, where time stands still while anything can be done. The caller calls
// stop.
func startBubble(t *testing.T, b Backend, cfg Config, sink Sink) (e *Engine, stop func()) {
	t.Helper()
	p := NewEndpoints(cfg, map[string]Sink{"test": sink}, zerolog.Nop())
	e, err := New(b, p, cfg, Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	return e, func() {
		e.Stop(t.Context())
		p.Close()
	}
}

// TestRetryTimes measures the time between the attempts of a message that is never taken.
func TestRetryTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, options, want string }{
		{"defaults", `{}`, "0 0 0 5 5 5 5 10 15 20 25 30 30 30"},
		{
			"arithmetic", `{"_retry_policy": {"retries_with_no_delay": 1, "minimum_delay_retries": 1, "minimum_delay": 10,
				"maximum_delay": 30, "maximum_delay_retries": 1, "retry_backoff_function": "arithmetic"}}`, "0 10 10 13 20 30 30",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBackend()
				b.queue(testKey("q"))
				id := b.subscribe(testKey("q"), "test://x", c.options)
				b.post(testKey("q"), 2)
				var times []time.Time // of the first message's attempts
				sink := &fakeSink{deliver: func(_ context.Context, _ *protocol.Durable, n Notice) error {
					if n.Message.Seq > 1 {
						return nil
					}
					times = append(times, time.Now())
					return &Failure{Reason: "no"}
				}}
				e, stop := startBubble(t, b, DefaultConfig(), sink)
				b.awaitDelivered(e, 1) // the second message
				stop()
				var waits []string
				for i := 1; i < len(times); i++ {
					waits = append(waits, fmt.Sprint(times[i].Sub(times[i-1]).Seconds()))
				}
				if got := strings.Join(waits, " "); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if dead := b.subs[id].dead; len(dead) != 1 || dead[0].Attempts != len(times) || dead[0].Reason != "no" {
					t.Errorf("%+v", dead)
				}
			})
		})
	}
}

// awaitDelivered waits, in a bubble, until the engine has delivered n notices.
func (b *fakeBackend) awaitDelivered(e *Engine, n int64) {
	for e.Stats().Delivered < n {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		<-changed
	}
}

// TestWaitOutlivesEngine stops an engine between two attempts: the next one goes on where it was.
func TestWaitOutlivesEngine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(testKey("q"))
		id := b.subscribe(testKey("q"), "test://x", `{"_retry_policy": {"retries_with_no_delay": 0, "minimum_delay": 600, "maximum_delay": 700}}`)
		b.post(testKey("q"), 1)
		tried := make(chan time.Time)
		sink := &fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
			tried <- time.Now()
			return &Failure{Reason: "no"}
		}}
		_, stop := startBubble(t, b, DefaultConfig(), sink)
		first := <-tried
		synctest.Wait()
		stop()
		_, stop = startBubble(t, b, DefaultConfig(), sink)
		if wait := (<-tried).Sub(first); wait < 600*time.Second || wait > 602*time.Second {
			t.Errorf("the second attempt was after %s", wait)
		}
		synctest.Wait()
		stop()
		if b.subs[id].d.Attempts != 2 {
			t.Errorf("%d attempts", b.subs[id].d.Attempts)
		}
	})
}

// TestRetryAfterHonoured has an endpoint that asks for an hour, and one that asks for more than is granted.
func TestRetryAfterHonoured(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 24 * time.Hour: time.Hour, 0: 0} {
		synctest.Test(t, func(t *testing.T) {
			b := newFakeBackend()
			b.queue(testKey("q"))
			b.subscribe(testKey("q"), "test://x", `{}`)
			b.post(testKey("q"), 1)
			var failed time.Time
			sink := &fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
				if failed.IsZero() {
					failed = time.Now()
					return &Failure{Reason: "later", RetryAfter: asked}
				}
				return nil
			}}
			start, stop := startBubble(t, b, DefaultConfig(), sink)
			b.awaitDelivered(start, 1)
			if wait := time.Since(failed); wait < want || wait > want+time.Second {
				t.Errorf("asked for %s, waited %s", asked, wait)
			}
			stop()
		})
	}
}

// TestBreakerSpendsNoAttempts has two subscribers of an endpoint that is down: it is tried once in each pause.
func TestBreakerSpendsNoAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(testKey("q"))
		const policy = `{"_retry_policy": {"retries_with_no_delay": 1000, "minimum_delay": 0, "maximum_delay": 0}}`
		one := b.subscribe(testKey("q"), "test://x", policy)
		two := b.subscribe(protocol.QueueKey{Project: "p", Name: "q"}, "test://x", policy)
		b.post(testKey("q"), 1)
		attempts := 0
		sink := &fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
			attempts++
			return &Failure{Reason: "down", Down: true}
		}}
		cfg := DefaultConfig()
		cfg.MaxPerEndpoint = 1 // or attempts of two at a time may be under way when the breaker opens
		_, stop := startBubble(t, b, cfg, sink)
		time.Sleep(10*cfg.BreakerPause + cfg.BreakerPause/2) // in the bubble this takes no time
		stop()
		if want := cfg.BreakerFailures + 10; attempts < want-2 || attempts > want {
			t.Errorf("%d attempts, want about %d", attempts, want)
		}
		if n := b.subs[one].d.Attempts + b.subs[two].d.Attempts; n != attempts {
			t.Errorf("%d attempts are stored, of %d", n, attempts)
		}
	})
}

// TestLeaseTooShort has a database that does not answer for so long that requests might outlast the lease: none starts
// until it was renewed.
func TestLeaseTooShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.queue(testKey("q"))
		id := b.subscribe(testKey("q"), "test://x", `{}`)
		cfg := DefaultConfig()
		sink := &fakeSink{deliver: func(context.Context, *protocol.Durable, Notice) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if left := time.Until(b.subs[id].until); left < cfg.RequestTimeout {
				t.Errorf("a request starts %s before the lease ends", left)
			}
			return nil
		}}
		renewals := &noRenewals{fakeBackend: b}
		e, stop := startBubble(t, renewals, cfg, sink)
		b.mu.Lock()
		renewals.off = true
		b.mu.Unlock()
		time.Sleep(cfg.Lease - cfg.RequestTimeout + time.Second) // in the bubble
		queue, head := b.post(testKey("q"), 1)
		e.Wake(queue, head)
		synctest.Wait()
		if n := e.Stats().Delivered; n != 0 {
			t.Errorf("%d delivered", n)
		}
		b.mu.Lock()
		renewals.off = false
		b.mu.Unlock()
		b.awaitDelivered(e, 1)
		stop()
	})
}

// noRenewals fails renewals while off is set.
type noRenewals struct {
	*fakeBackend
	off bool // guarded by mu
}

func (b *noRenewals) RenewDurable(ctx context.Context, leases []protocol.Lease, lease time.Duration) ([]protocol.DurableState, error) {
	b.mu.Lock()
	off := b.off
	b.mu.Unlock()
	if off {
		return nil, protocol.ErrUnavailable
	}
	return b.fakeBackend.RenewDurable(ctx, leases, lease)
}
