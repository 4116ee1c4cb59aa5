package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	post := func(size int) string { return `{"messages": [{"body": "` + strings.Repeat("x", size) + `"}]}` }
	if a := g.ask(t, "POST", "/v2/queues/q/messages", post(200<<10)); a.status != 201 {
		t.Errorf("within the limit: %v", a)
	}
	if a := g.ask(t, "POST", "/v2/queues/q/messages", post(300<<10)); a.status != 400 || !strings.Contains(a.body, "Message collection size is too large. Max size 262144") {
		t.Errorf("beyond the limit of posts: %v", a)
	}
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("POST", "/v2/queues/q/messages", "Content-Length: 2000000\r\n")))
	if a := c.response(t); a.status != 413 || !a.closes() {
		t.Errorf("announced beyond the limit of frames: %v", a)
	}
	// Without a length, in chunks.
	c = dialPlain(t, g.addr)
	c.write([]byte(restHead("POST", "/v2/queues/q/messages", "Transfer-Encoding: chunked\r\n")))
	chunk := strings.Repeat(" ", 0x1000)
	for range 0x101 {
		c.write([]byte("1000\r\n" + chunk + "\r\n"))
	}
	if a := c.response(t); a.status != 413 || !a.closes() {
		t.Errorf("beyond the limit of frames: %v", a)
	}
	c = dialPlain(t, g.addr)
	c.write([]byte(restHead("POST", "/v2/queues/q/messages", "Transfer-Encoding: chunked\r\n") + "1a\r\n" + post(1)[:26] + "\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(post(1))-26, post(1)[26:])))
	if a := c.response(t); a.status != 201 {
		t.Errorf("in chunks: %v", a)
	}
}

// restHead is the header of a request.
func restHead(method, path, more string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: x\r\nClient-ID: " + testClient + "\r\nX-Project-ID: p\r\n" + more + "\r\n"
}

func (a restAnswer) closes() bool { return a.header.Get("Connection") == "close" }

// response reads an HTTP response.
func (c *rawClient) response(t testing.TB) restAnswer {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(testPatience))
	resp, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return restAnswer{resp.StatusCode, resp.Header, string(text)}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.REST.BodyTimeout = 100 * time.Millisecond })
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("PUT", "/v2/queues/q", "Content-Length: 10\r\n") + `{"a"`))
	if a := c.response(t); a.status != 408 || !a.closes() {
		t.Errorf("%v", a)
	}
}

func TestBodiesWaitForMemory(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.REST.BodyTimeout = 300 * time.Millisecond })
	body := `{"a": "` + strings.Repeat("x", 60<<10) + `"}`
	g.memory.add(g.memory.max)
	// Within the allowance it goes all the same.
	if a := g.ask(t, "PUT", "/v2/queues/q", `{"a": "`+strings.Repeat("x", 20<<10)+`"}`); a.status != 201 {
		t.Errorf("small: %v", a)
	}
	big := `{"messages": [{"body": "` + strings.Repeat("x", 200<<10) + `"}]}`
	if a := g.ask(t, "POST", "/v2/queues/q/messages", big); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("large: %v", a)
	}
	g.memory.add(-g.memory.max)
	if a := g.ask(t, "PUT", "/v2/queues/q", body); a.status != 201 {
		t.Errorf("with memory: %v", a)
	}
}

func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"in all":      func(c *Config) { c.REST.MaxRequests = 1 },
		"one address": func(c *Config) { c.REST.MaxRequestsPerAddress = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := serveTest(t, change)
			g.backend.holdPosts(t)
			first := make(chan restAnswer, 1)
			go func() {
				a, _ := g.tryAsk("POST", "/v2/queues/q/messages", `{"messages": [{"body": 1}]}`)
				first <- a
			}()
			held := soon(t, g.backend.posts)
			if a := g.ask(t, "GET", "/v2/queues/q", ""); a.status != 503 || a.header.Get("Retry-After") != "1" ||
				!strings.HasSuffix(a.body, `,"retry_after":1,"outcome":"nothing"}`) {
				t.Errorf("beyond the bound: %v", a)
			}
			waiter := held.Waiter
			g.backend.commit(held)
			waiter.Flush()
			if a := soon(t, first); a.status != 201 || !strings.HasPrefix(a.header.Get("Location"), "/v2/queues/q/messages?ids=") {
				t.Errorf("the first: %v", a)
			}
			eventually(t, "there is room again", func() bool { return g.rest.running.Load() == 0 })
			if a := g.ask(t, "GET", "/v2/queues/q", ""); a.status != 200 {
				t.Errorf("afterwards: %v", a)
			}
		})
	}
}

// TestBlockedRequestsWaitTheirTurn checks that an address has no more handlers at a time than it may, and that those
// which wait in vain are answered and leave nothing behind.
func TestBlockedRequestsWaitTheirTurn(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { impatient(c); c.REST.BlockingPerAddress = 1 })
	begun, let := make(chan string, 10), make(chan struct{})
	g.backend.createQueue = func(_ context.Context, name string) error {
		begun <- strings.Clone(name)
		<-let // deaf to its context
		return nil
	}
	answers := make(chan restAnswer, 3)
	for range 3 {
		go func() {
			a, _ := g.tryAsk("PUT", "/v2/queues/q", "")
			answers <- a
		}()
	}
	soon(t, begun)
	unknown := 0 // what has begun may have happened
	for range 3 {
		a := soon(t, answers)
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"retry_after":`) {
			t.Errorf("%v", a)
		}
		unknown += strings.Count(a.body, `"outcome":"unknown"`)
	}
	if unknown != 1 {
		t.Errorf("the outcome of %d is unknown", unknown)
	}
	if len(begun) > 0 {
		t.Error("a second one has begun")
	}
	close(let)
	eventually(t, "all have ended", func() bool { return g.rest.running.Load() == 0 })
}

// claimLater starts a claim and returns the store's part of it.
func (g *testGateway) claimLater(t *testing.T) (*rawClient, *protocol.ClaimOp) {
	t.Helper()
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("POST", "/v2/queues/q/claims", "")))
	return c, soon(t, g.backend.claims)
}

// grant ends a claim with a message.
func grant(op *protocol.ClaimOp) {
	op.ClaimID = "claim-1"
	op.Messages = append(op.Messages, protocol.Message{ID: protocol.MessageID{Queue: 1, N: 1}, Body: []byte("1")})
	waiter := op.Waiter
	waiter.Done()
	waiter.Flush()
}

func TestClaimOfAClientThatHangsUp(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.Handlers.OperationTimeout = time.Hour })
	c, op := g.claimLater(t)
	c.conn.Close()
	eventually(t, "the store learns that nobody waits", op.Abandoned)
	eventually(t, "the request ends", func() bool { return g.stateOf(op) == callLate })
	grant(op)
	if id := soon(t, g.backend.released); id != "claim-1" {
		t.Errorf("released %s", id)
	}
	eventually(t, "its place is free", func() bool { return g.rest.running.Load() == 0 })
}

// stateOf is the state of a claim's call.
func (g *testGateway) stateOf(op *protocol.ClaimOp) int32 { return op.Waiter.(*call).state.Load() }

func TestClaimThatComesTooLate(t *testing.T) {
	t.Parallel()
	g := serveTest(t, impatient)
	c, op := g.claimLater(t)
	begun := time.Now()
	if a := c.response(t); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("answered after %v", took)
	}
	grant(op)
	if id := soon(t, g.backend.released); id != "claim-1" {
		t.Errorf("released %s", id)
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c, op := g.claimLater(t)
	grant(op)
	a := c.response(t)
	if a.status != 201 || a.header.Get("Location") != "/v2/queues/q/claims/claim-1" || !strings.Contains(a.body, `?claim_id=claim-1"`) {
		t.Errorf("%v", a)
	}
	c, op = g.claimLater(t)
	waiter := op.Waiter
	waiter.Done()
	waiter.Flush()
	if a := c.response(t); a.status != 204 || a.body != "" {
		t.Errorf("nothing to claim: %v", a)
	}
}

func TestStopAnswersRequests(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.holdPosts(t)
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("POST", "/v2/queues/q/messages", "Content-Length: 27\r\n") + `{"messages": [{"body": 1}]}`))
	held := soon(t, g.backend.posts)
	late := dialPlain(t, g.addr)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testPatience)
		defer cancel()
		stopped <- g.Stop(ctx)
	}()
	eventually(t, "it stops", g.draining.Load)
	late.write([]byte(restHead("GET", "/v2/queues/q", "")))
	if a := late.response(t); a.status != 503 || a.header.Get("Retry-After") != "1" {
		t.Errorf("new request: %v", a)
	}
	waiter := held.Waiter
	g.backend.commit(held)
	waiter.Flush()
	if a := c.response(t); a.status != 201 {
		t.Errorf("running request: %v", a)
	}
	if err := soon(t, stopped); err != nil {
		t.Error(err)
	}
}

func TestStopCutsRequestsOff(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.createQueue = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("PUT", "/v2/queues/q", "")))
	eventually(t, "it runs", func() bool { return g.rest.running.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Stop(ctx); err == nil || !strings.Contains(err.Error(), "1 requests") {
		t.Errorf("stop: %v", err)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.createQueue = func(context.Context, string) error { panic("a fault") }
	if a := g.ask(t, "PUT", "/v2/queues/q", ""); a.status != 500 || strings.Contains(a.body, "a fault") {
		t.Errorf("%v", a)
	}
}

// A client that does not read its response is given up, and the memory of the response is free.
func TestUnreadResponse(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	g.backend.page = messagesOf(20, 1<<20)
	c := dialPlain(t, g.addr)
	c.write([]byte(restHead("GET", "/v2/queues/q/messages", "")))
	eventually(t, "the response is there", func() bool { return g.memory.used.Load() > 20<<20 })
	eventually(t, "its memory is free", func() bool { return g.memory.used.Load() == 0 && g.rest.running.Load() == 0 })
}

// BenchmarkRequest measures a request's whole way, with a store that answers at once.
func BenchmarkRequest(b *testing.B) {
	g := serveTest(b, nil)
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	request := []byte(restHead("POST", "/v2/queues/q/messages", "Content-Length: 27\r\n") + `{"messages": [{"body": 1}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 201 {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
