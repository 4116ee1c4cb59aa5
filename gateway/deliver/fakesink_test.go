package deliver

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// fakeSink is a sink whose endpoints are the subscribers.
type fakeSink struct {
	deliver func(ctx context.Context, d *protocol.Durable, n Notice) error

	mu      sync.Mutex
	running int
	taken   int
	changed chan struct{}
}

func (s *fakeSink) Endpoint(subscriber string) (string, error) { return subscriber, nil }

func (s *fakeSink) Deliver(ctx context.Context, d *protocol.Durable, n Notice) error {
	s.count(1, 0)
	err := s.deliver(ctx, d, n)
	if err == nil {
		s.count(-1, 1)
	} else {
		s.count(-1, 0)
	}
	return err
}

func (s *fakeSink) count(running, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running += running
	s.taken += taken
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *fakeSink) await(t *testing.T, what string, ok func(*fakeSink) bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		is, changed := ok(s), s.changed
		s.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s; %d running, %d taken", what, s.running, s.taken)
		}
	}
}

// startFake starts an engine whose subscribers' scheme is "test"; the test's end stops it.
func startFake(t testing.TB, b Backend, cfg Config, sink Sink) *Engine {
	t.Helper()
	p := NewEndpoints(cfg, map[string]Sink{"test": sink}, zerolog.Nop())
	e, err := New(b, p, cfg, Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel()
		e.Stop(ctx)
		p.Close()
	})
	return e
}
