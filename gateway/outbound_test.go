package gateway

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testSource gives left frames of its name, per of them at a time.
type testSource struct {
	sourceState
	name      string
	left, per int
	asked     atomic.Int64
	// entered and goOn, if they are set, hold next up.
	entered, goOn chan struct{}
}

func (s *testSource) next(dst []byte, limit int) ([]byte, bool) {
	s.asked.Add(1)
	if s.entered != nil {
		s.entered <- struct{}{}
		<-s.goOn
	}
	for range min(s.per, s.left) {
		dst = append(appendWSHeader(dst, opText, len(s.name)), s.name...)
		s.left--
	}
	return dst, s.left > 0
}

// one opens a session and returns its server side, too.
func one(t *testing.T, g *testGateway) (*rawClient, *session) {
	t.Helper()
	c := openRaw(t, g.addr)
	c.sendText(postFrame("q", "1", "1"))
	c.expect("201")
	return c, g.session(t)
}

// Sources share a socket: each gives in its turn.
func TestOutboundServesSourcesInTurn(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c, s := one(t, g)
	a := &testSource{name: "a", left: 30, per: 3}
	b := &testSource{name: "b", left: 30, per: 3}
	s.out.mu.Lock()
	s.out.corked = true // so that both are there when the first write begins
	s.out.mu.Unlock()
	s.out.wake(a)
	s.out.wake(b)
	s.out.wake(b)
	s.out.uncork()
	for round := range 10 {
		for _, want := range []string{"a", "a", "a", "b", "b", "b"} {
			if got := c.receive(); got != want {
				t.Fatalf("round %d: got %s, want %s", round, got, want)
			}
		}
	}
	if n := b.asked.Load(); n != 10 {
		t.Errorf("source was asked %d times, want 10", n)
	}
}

// After drop has returned, next is not called: drop waits for a call that is under way.
func TestOutboundDropWaits(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	_, s := one(t, g)
	src := &testSource{name: "x", left: 1 << 20, per: 1, entered: make(chan struct{}), goOn: make(chan struct{})}
	s.out.wake(src)
	<-src.entered
	var dropped atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		s.out.drop(src)
		dropped.Store(true)
	})
	eventually(t, "drop has begun", func() bool {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		return src.dropped
	})
	if dropped.Load() {
		t.Error("drop returned while next was running")
	}
	src.goOn <- struct{}{}
	wg.Wait()
	s.out.wake(src)
	if n := src.asked.Load(); n != 1 {
		t.Errorf("next was called %d times", n)
	}
}

// What a subscription has ready is owed when the gateway stops; nothing is taken after the close frame.
func TestOutboundCloseSealsBuffer(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c, s := one(t, g)
	s.out.mu.Lock()
	s.out.corked = true
	s.out.mu.Unlock()
	s.out.wake(&testSource{name: "owed", left: 100, per: 2})
	s.shut(1001)
	c.expect("owed")
	c.expect("owed")
	s.out.wake(&testSource{name: "late", left: 1, per: 1})
	s.out.sendPing()
	c.expectClose(1001)
}

// A socket that takes nothing holds up neither the reader of the session nor its memory: only the newest pong waits.
func TestOutboundNewestPongOnly(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	_, s := one(t, g)
	s.out.mu.Lock()
	s.out.writing = true // as if a writer were stuck
	s.out.mu.Unlock()
	for i := range 1000 {
		s.out.sendPong(fmt.Append(nil, i))
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if want := append(appendWSHeader(nil, opPong, 3), "999"...); !bytes.Equal(s.out.pong, want) {
		t.Errorf("pong that waits: %q", s.out.pong)
	}
	s.out.writing = false
}

// A subscriber that never reads holds one batch of pushes, and is cut off once its socket takes nothing.
func TestOutboundSubscriberNeverReads(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	_, s := one(t, g)
	s.out.wake(&testSource{name: string(bytes.Repeat([]byte{'x'}, 10_000)), left: 1 << 30, per: 7})
	eventually(t, "the session is cut off", func() bool {
		if used, limit := g.memory.used.Load(), int64(g.cfg.Push.ChunkBytes+7*10_010); used > limit {
			t.Fatalf("%d bytes held, want at most %d", used, limit)
		}
		return len(g.openSessions()) == 0
	})
}
