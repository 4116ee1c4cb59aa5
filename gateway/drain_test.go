package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// A stopping gateway answers what it took, refuses what comes later, and closes with 1001.
func TestStopAnswersWhatItTook(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.hold.Store(true)
	idle := openRaw(t, g.addr)
	busy := openRaw(t, g.addr)
	busy.sendText(postFrame("q", "1", "1"))
	post := <-g.backend.posts

	var stop sync.WaitGroup
	stop.Go(func() {
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	idle.expectClose(1001)
	if got := probe(t, g.addr, "/readyz"); got != 503 {
		t.Errorf("readyz while stopping: %d", got)
	}
	if got := probe(t, g.addr, "/livez"); got != 200 {
		t.Errorf("livez while stopping: %d", got)
	}
	late := dialRaw(t, g.addr, nil)
	if resp, err := http.ReadResponse(late.br, nil); err != nil || resp.StatusCode != 503 {
		t.Errorf("upgrade while stopping: %v, %v", resp, err)
	}
	busy.sendText(postFrame("q", "2", "2"))
	busy.expect(`"id":2,`, `"status":503`)
	w := post.Waiter
	g.backend.commit(post)
	w.Flush()
	busy.expect(`"id":1,`, `"status":201`)
	busy.expectClose(1001)
	stop.Wait()
}

// Sessions that do not end in time are cut off.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	entered := make(chan struct{})
	g.backend.createQueue = func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("queue_create", `{"queue_name": "q"}`, "1"))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Stop(ctx); err == nil {
		t.Error("Stop says that nothing was cut off")
	}
	c.expectEOF()
}

func TestStopTwiceAndUnstarted(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	for range 2 {
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	never := New(DefaultConfig(), newSessionBackend(), g.log)
	if err := never.Stop(t.Context()); err != nil {
		t.Errorf("stop of a gateway that was never started: %v", err)
	}
	never.Start()
}

func probe(t *testing.T, addr, path string) int {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestProbesAndFallback(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.ReadyInterval = 10 * time.Millisecond
		c.Fallback = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/console/": 418} {
		if got := probe(t, g.addr, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	g.backend.down.Store(true)
	eventually(t, "not ready when the database is away", func() bool { return probe(t, g.addr, "/readyz") == 503 })
	if got := probe(t, g.addr, "/livez"); got != 200 {
		t.Errorf("livez when the database is away: %d", got)
	}
	g.backend.down.Store(false)
	eventually(t, "ready when it is back", func() bool { return probe(t, g.addr, "/readyz") == 200 })
	http.DefaultClient.CloseIdleConnections()
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.MaxSessions = 2 })
	first := openRaw(t, g.addr)
	openRaw(t, g.addr)
	refused := dialRaw(t, g.addr, nil)
	if resp, err := http.ReadResponse(refused.br, nil); err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("third session: %v, %v", resp, err)
	}
	first.conn.Close()
	eventually(t, "a seat is free", func() bool { return g.seats.Load() == 1 })
	openRaw(t, g.addr)
}

func TestSubprotocolsAndOrigins(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.AllowedOrigins, c.ListenHost = []string{"*.example.org"}, "gateway" })
	for _, tt := range []struct {
		header, protocol string
		status           int
	}{
		{"X-Nothing: 1", "", 101},
		{"Sec-WebSocket-Protocol: unknown", "", 101},
		{"Sec-WebSocket-Protocol: unknown, nusku.v1", "nusku.v1", 101},
		{"Origin: http://gateway", "", 101},
		{"Origin: https://app.example.org", "", 101},
		{"Origin: https://evil.example.com", "", 403},
	} {
		c := dialRaw(t, g.addr, nil, tt.header)
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Sec-WebSocket-Protocol") != tt.protocol {
			t.Errorf("%s: %v, %v", tt.header, resp, err)
		}
	}
	eventually(t, "extended dialect is known", func() bool {
		n := 0
		for _, s := range g.openSessions() {
			if s.extended {
				n++
			}
		}
		return n == 1
	})
}

func TestSilentSessionIsPingedAndClosed(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.PingInterval, c.PongTimeout = 50*time.Millisecond, 2*time.Second // a busy machine may be slow to answer
		c.CloseTimeout = 100 * time.Millisecond
	})
	c := openRaw(t, g.addr)
	for range 3 {
		opcode, payload, err := c.readFrame()
		if err != nil || opcode != opPing {
			t.Fatalf("want a ping, got opcode %d, %v", opcode, err)
		}
		c.write(maskedFrame(true, opPong, payload))
	}
	c.expectClose(int(protocol.CloseNoPong))
	eventually(t, "session has ended", func() bool { return len(g.openSessions()) == 0 })
}

// A peer that does not answer the close frame is hung up on.
func TestCloseUnanswered(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.CloseTimeout = 50 * time.Millisecond })
	c := openRaw(t, g.addr)
	c.sendText(postFrame("q", "1", "1"))
	c.expect("201")
	g.session(t).shut(protocol.CloseGoingAway)
	if opcode, _, err := c.readFrame(); err != nil || opcode != opClose {
		t.Fatalf("want a close frame, got opcode %d, %v", opcode, err)
	}
	c.sendText(postFrame("q", "1", "after the close frame"))
	c.expectEOF()
	if n := g.backend.next.Load(); n != 1 {
		t.Errorf("%d messages were stored, one before the close frame was sent", n)
	}
}

func TestSlowHandshakeIsCutOff(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.HeaderTimeout = 100 * time.Millisecond })
	c := dialPlain(t, g.addr)
	c.write([]byte("GET / HTTP/1.1\r\nHost: gateway\r\n"))
	c.expectEOF()
	big := dialPlain(t, g.addr)
	fmt.Fprintf(big.conn, "GET / HTTP/1.1\r\nHost: gateway\r\nX: %s\r\n\r\n", make([]byte, 64<<10))
	big.expectEOF()
}
