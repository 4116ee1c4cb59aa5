package gateway

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// sessionBackend answers what tests of sessions ask. Posts are done at once, unless hold is set: then they wait in
// posts for the test.
type sessionBackend struct {
	Backend
	hold  atomic.Bool
	next  atomic.Int64
	posts chan *protocol.Post
	// claims get all claims, which the test answers, and released the ids of those that were released.
	claims   chan *protocol.ClaimOp
	released chan string
	// createQueue and page are what CreateQueue does and Messages returns.
	createQueue func(ctx context.Context, name string) error
	page        []protocol.Message
	down        atomic.Bool
	// onPost is called by Post.
	onPost func(*protocol.Post)
}

func newSessionBackend() *sessionBackend {
	return &sessionBackend{
		posts:  make(chan *protocol.Post, 10000),
		claims: make(chan *protocol.ClaimOp, 10), released: make(chan string, 10),
	}
}

func (b *sessionBackend) Post(p *protocol.Post) {
	if b.onPost != nil {
		b.onPost(p)
	}
	if b.hold.Load() {
		b.posts <- p
		return
	}
	b.commit(p)
	p.Waiter.Flush()
}

// commit answers a post; the caller calls the waiter's Flush.
func (b *sessionBackend) commit(p *protocol.Post) {
	for range p.Messages {
		p.IDs = append(p.IDs, protocol.MessageID{Queue: 1, N: b.next.Add(1)})
	}
	p.Waiter.Done()
}

func (b *sessionBackend) Delete(d *protocol.DeleteOp) {
	w := d.Waiter
	w.Done()
	w.Flush()
}

func (b *sessionBackend) CreateQueue(ctx context.Context, key protocol.QueueKey, _ []byte) (bool, error) {
	if b.createQueue != nil {
		return true, b.createQueue(ctx, key.Name)
	}
	return true, nil
}

func (b *sessionBackend) Messages(context.Context, protocol.QueueKey, protocol.MessagePage) ([]protocol.Message, error) {
	return b.page, nil
}

func (b *sessionBackend) Queues(context.Context, protocol.QueuePage) ([]protocol.Queue, error) {
	return nil, nil
}

func (b *sessionBackend) Heads(context.Context, []int64) (map[int64]int64, error) { return nil, nil }

func (b *sessionBackend) Observe(context.Context, []int64) error { return nil }

func (b *sessionBackend) EndSocketSubscriptions(context.Context, []uuid.UUID) error { return nil }

func (b *sessionBackend) KnownSubscriptions(_ context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	return ids, nil
}

func (b *sessionBackend) Ping(context.Context) error {
	if b.down.Load() {
		return protocol.ErrUnavailable
	}
	return nil
}

// testGateway serves on a loopback port until the test ends.
type testGateway struct {
	*Gateway
	addr    string
	backend *sessionBackend
}

func serveTest(t testing.TB, change func(*Config)) *testGateway {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	tg := &testGateway{backend: newSessionBackend()}
	tg.Gateway = New(cfg, tg.backend, zerolog.Nop())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tg.addr = ln.Addr().String()
	tg.Start()
	var served sync.WaitGroup
	served.Go(func() {
		if err := tg.Serve(ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // cut off what the test has left
		_ = tg.Stop(ctx)
		served.Wait()
		if n := tg.memory.used.Load() + tg.reading.used.Load(); n != 0 {
			t.Errorf("%d bytes are still counted when everything has ended", n)
		}
	})
	return tg
}

// session returns the only session, which a client may know of a moment before the gateway does.
func (g *testGateway) session(t testing.TB) *session {
	t.Helper()
	eventually(t, "there is a session", func() bool { return len(g.openSessions()) > 0 })
	return g.openSessions()[0]
}

// eventually waits until ok, which nothing signals.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(testPatience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

const testHeaders = `"headers": {"Client-ID": "11111111-1111-1111-1111-111111111111", "X-Project-ID": "p"}`

// postFrame is a message_post to a queue; id is "" or a JSON value.
func postFrame(queue, body, id string) string {
	if id != "" {
		id = `, "id": ` + id
	}
	return fmt.Sprintf(`{"action": "message_post", "body": {"queue_name": %q, "messages": [{"body": %s}]}, %s%s}`,
		queue, body, testHeaders, id)
}

func actionFrame(action, body, id string) string {
	return fmt.Sprintf(`{"action": %q, "body": %s, %s, "id": %s}`, action, body, testHeaders, id)
}

// The packet that carries the handshake may carry the first frames, too, more of them than the session's reader holds.
func TestFirstFramesInHandshakePacket(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	for range 50 {
		var first []byte
		for i := range 12 {
			first = appendMasked(first, true, opText, []byte(postFrame("q", "1", fmt.Sprint(i))))
		}
		c := dialRaw(t, g.addr, first)
		c.upgraded()
		for i := range 12 {
			c.expect(fmt.Sprintf(`"id":%d,`, i), "201")
		}
		c.conn.Close()
	}
}

func TestFragmentedMessage(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c := openRaw(t, g.addr)
	text := []byte(postFrame("q", `"`+strings.Repeat("x", 5000)+`"`, "7"))
	opcode := opText
	for i := 0; i < len(text); i += 4 {
		end := min(i+4, len(text))
		c.write(maskedFrame(end == len(text), opcode, text[i:end]))
		opcode = 0
		if i == 2000 {
			c.write(maskedFrame(true, opPing, []byte("between fragments")))
		}
	}
	c.expect(`"id":7,`, "201")
	c.sendText(postFrame("q", "1", "8"))
	c.expect(`"id":8,`, "201")
}

func TestTooBigFrame(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	other := openRaw(t, g.addr)
	for _, fin := range []bool{true, false} {
		c := openRaw(t, g.addr)
		c.write(maskedFrame(fin, opText, make([]byte, 2<<20)))
		c.expectClose(1009)
	}
	// More than the socket's buffers hold: the client can send all of it before it reads, and is not reset.
	c := openRaw(t, g.addr)
	c.write(maskedFrame(true, opText, make([]byte, 32<<20)))
	c.expectClose(1009)
	exact := `"` + strings.Repeat(" ", 1<<20-2) + `"`
	other.sendText(exact)
	other.expect(`"status":400`)
	other.sendText(exact + " ")
	other.expectClose(1009)
}

func TestHalfFrameThenSilence(t *testing.T) {
	t.Parallel()
	// Long enough that a reader which a busy machine keeps waiting has read a whole frame by then.
	const frameTimeout = 500 * time.Millisecond
	g := serveTest(t, func(c *Config) { c.FrameTimeout = frameTimeout })
	whole := maskedFrame(true, opText, []byte(postFrame("q", "1", "1")))
	for _, n := range []int{1, 3, 100} {
		c := openRaw(t, g.addr)
		c.write(whole)
		c.expect("201")
		c.write(whole[:n])
		c.expectClose(1008)
	}
	// Half a control frame is half a frame; a whole one is none.
	c := openRaw(t, g.addr)
	c.write(maskedFrame(true, opPing, []byte("whole")))
	c.write(maskedFrame(true, opPong, nil)[:1])
	c.expectClose(1008)
	c = openRaw(t, g.addr)
	c.write(maskedFrame(true, opPing, []byte("whole")))
	if opcode, payload, err := c.readFrame(); err != nil || opcode != opPong || string(payload) != "whole" {
		t.Fatalf("ping answered by %d %q, %v", opcode, payload, err)
	}
	quiet := time.NewTimer(3 * frameTimeout)
	<-quiet.C
	c.write(whole)
	c.expect("201")
}

func TestInvalidText(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c := openRaw(t, g.addr)
	c.write(maskedFrame(true, opText, []byte("{\"action\": \"\xff\"}")))
	c.expectClose(1007)
}

func TestProtocolFaults(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.CloseTimeout = 100 * time.Millisecond })
	unmasked := append(appendWSHeader(nil, opText, 2), "{}"...)
	for name, frame := range map[string][]byte{
		"unmasked":             unmasked,
		"unknown opcode":       maskedFrame(true, 3, nil),
		"reserved bit":         {0xc1, 0x80, 0, 0, 0, 0},
		"stray continuation":   maskedFrame(true, 0, []byte("x")),
		"long control frame":   maskedFrame(true, opPing, make([]byte, 126)),
		"fragmented control":   maskedFrame(false, opPing, nil),
		"new text in the text": append(maskedFrame(false, opText, []byte("a")), maskedFrame(true, opText, []byte("b"))...),
	} {
		t.Run(name, func(t *testing.T) {
			c := openRaw(t, g.addr)
			c.write(frame)
			c.expectClose(1002)
		})
	}
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c := openRaw(t, g.addr)
	c.sendText(postFrame("q", "1", "1"))
	c.expect("201")
	c.write(maskedFrame(true, opClose, []byte{0x0f, 0xa1, 'b', 'y', 'e'}))
	c.expectClose(4001)
	eventually(t, "session has ended", func() bool { return len(g.openSessions()) == 0 })
}

// A flood of pings is answered, if only its newest, and takes no memory.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	c := openRaw(t, g.addr)
	const pings = 20000
	var wg sync.WaitGroup
	wg.Go(func() {
		var flood []byte
		for i := range pings {
			flood = appendMasked(flood[:0], true, opPing, fmt.Append(nil, i))
			if _, err := c.conn.Write(flood); err != nil {
				t.Errorf("ping %d: %v", i, err)
				return
			}
		}
	})
	last := ""
	for n := 0; last != fmt.Sprint(pings-1); n++ {
		opcode, payload, err := c.readFrame()
		if err != nil || opcode != opPong || n >= pings {
			t.Fatalf("frame %d: opcode %d, %v", n, opcode, err)
		}
		last = string(payload)
	}
	wg.Wait()
	c.sendText(postFrame("q", "1", "1"))
	c.expect("201")
}

// Replies to frames without id leave in the order of the requests, whatever order they are done in; those with an id
// leave at once.
func TestReplyOrder(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.hold.Store(true)
	c := openRaw(t, g.addr)
	for i := range 10 {
		id := ""
		if i == 5 {
			id = "5"
		}
		c.sendText(postFrame(fmt.Sprintf("q%d", i), "1", id))
	}
	posts := make([]*protocol.Post, 10)
	for i := range posts {
		posts[i] = <-g.backend.posts
	}
	for i := len(posts) - 1; i >= 0; i-- {
		w := posts[i].Waiter
		g.backend.commit(posts[i])
		w.Flush()
	}
	c.expect(`"id":5,`)
	for i := range 10 {
		if i != 5 {
			c.expect(fmt.Sprintf(`"queue_name": "q%d"`, i), "201")
		}
	}
}

// Frames that waited in a lane are started before those that come while they are.
func TestLaneStartsInOrderSent(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	created, goOn := make(chan struct{}), make(chan struct{})
	g.backend.createQueue = func(context.Context, string) error { <-created; return nil }
	var order []string
	posting := make(chan struct{}, 1)
	g.backend.onPost = func(p *protocol.Post) {
		order = append(order, string(p.Messages[0].Body))
		if len(order) == 1 {
			posting <- struct{}{}
			<-goOn
		}
	}
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("queue_create", `{"queue_name": "q"}`, "0"))
	c.sendText(postFrame("q", "1", "1"))
	c.sendText(postFrame("q", "2", "2"))
	s := g.session(t)
	outstanding := func(n int) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.outstanding == n
		}
	}
	eventually(t, "all are taken", outstanding(3))
	close(created)
	<-posting
	c.sendText(postFrame("q", "3", "3"))
	eventually(t, "the last is taken", outstanding(3))
	close(goOn)
	for i := range 4 {
		c.expect(fmt.Sprintf(`"id":%d,`, i), `"status":201`)
	}
	if got := fmt.Sprint(order); got != "[1 2 3]" {
		t.Errorf("posts were made in the order %s", got)
	}
}

// All replies of a batch leave in one write.
func TestFlushMergesReplies(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.hold.Store(true)
	c := openRaw(t, g.addr)
	const n = 100
	for i := range n {
		c.sendText(postFrame("q", "1", fmt.Sprint(i)))
	}
	var posts []*protocol.Post
	for range n {
		posts = append(posts, <-g.backend.posts)
	}
	s := g.session(t)
	eventually(t, "the reader waits for input", func() bool {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		return !s.out.corked
	})
	var waiters []protocol.Waiter
	for i, p := range posts {
		waiters = append(waiters, p.Waiter)
		g.backend.commit(p)
		s.out.mu.Lock()
		writing := s.out.writing
		s.out.mu.Unlock()
		if writing {
			t.Fatalf("a reply is written before Flush, at reply %d", i)
		}
	}
	for _, w := range waiters {
		w.Flush()
	}
	for i := range n {
		c.expect(fmt.Sprintf(`"id":%d,`, i))
	}
}

// A client that sends and never reads is not read any more at a bound, and is cut off once its socket takes nothing.
func TestClientNeverReads(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.WriteTimeout = 200 * time.Millisecond
		c.MaxReplyBytes = 256 << 10
	})
	body := []byte(`"` + strings.Repeat("x", 100<<10) + `"`)
	for range 10 {
		g.backend.page = append(g.backend.page, protocol.Message{ID: protocol.MessageID{Queue: 1, N: 1}, Body: body})
	}
	c := openRaw(t, g.addr)
	var peak atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				peak.Store(max(peak.Load(), g.memory.used.Load()))
			}
		}
	})
	request := maskedFrame(true, opText, []byte(actionFrame("message_list", `{"queue_name": "q"}`, "1")))
	for {
		if _, err := c.conn.Write(request); err != nil {
			break
		}
	}
	close(stop)
	wg.Wait()
	// The replies that wait, and those of the reads that ran at a time before it was known how large they are.
	if limit := int64(256<<10 + 9*(1<<20+4<<10)); peak.Load() > limit {
		t.Errorf("held %d bytes, want at most %d", peak.Load(), limit)
	}
	eventually(t, "session has ended", func() bool { return len(g.openSessions()) == 0 })
}

// Past the bound of outstanding frames a session is not read; it goes on when there is room, and is not pinged meanwhile.
func TestOutstandingBound(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.MaxOutstanding = 5
		c.PingInterval, c.PongTimeout = 50*time.Millisecond, time.Second
	})
	g.backend.hold.Store(true)
	c := openRaw(t, g.addr)
	for i := range 8 {
		c.sendText(postFrame("q", "1", fmt.Sprint(i)))
	}
	var held []*protocol.Post
	for range 5 {
		held = append(held, <-g.backend.posts)
	}
	s := g.session(t)
	eventually(t, "reader waits", s.stalled.Load)
	quiet := time.NewTimer(1500 * time.Millisecond) // more than the pong timeout
	<-quiet.C
	if n := len(g.backend.posts); n != 0 {
		t.Fatalf("%d frames beyond the bound were taken", n)
	}
	for _, p := range held {
		w := p.Waiter
		g.backend.commit(p)
		w.Flush()
	}
	for range 3 {
		p := <-g.backend.posts
		w := p.Waiter
		g.backend.commit(p)
		w.Flush()
	}
	for i := range 8 {
		c.expect(fmt.Sprintf(`"id":%d,`, i))
	}
}

// While the gateway's memory is used up, frames are read within their session's allowance only; then all go on.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.memory.add(g.memory.max)
	c := openRaw(t, g.addr)
	c.sendText(postFrame("q", `"`+strings.Repeat("x", 20<<10)+`"`, "0"))
	c.expect("201")
	c.sendText(postFrame("q", `"`+strings.Repeat("x", 100<<10)+`"`, "1"))
	eventually(t, "reader waits", func() bool { return g.memory.waiters.Load() == 1 })
	g.memory.add(-g.memory.max)
	c.expect("201")

	// Large frames wait for a budget of their own, small ones pass.
	g.reading.add(g.reading.max)
	c.sendText(postFrame("q", `"`+strings.Repeat("x", 100<<10)+`"`, "2"))
	eventually(t, "reader waits", func() bool { return g.reading.waiters.Load() == 1 })
	other := openRaw(t, g.addr)
	other.sendText(postFrame("q", "1", "3"))
	other.expect("201")
	g.reading.add(-g.reading.max)
	c.expect("201")
}

func TestBlockingHandlers(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.Blocking, c.BlockingPerSession = 3, 2 })
	entered := make(chan string, 100)
	goOn := make(chan struct{})
	g.backend.createQueue = func(ctx context.Context, name string) error {
		entered <- name
		<-goOn
		return nil
	}
	clients := make([]*rawClient, 3)
	for i := range clients {
		clients[i] = openRaw(t, g.addr)
		for j := range 5 {
			clients[i].sendText(actionFrame("queue_create", fmt.Sprintf(`{"queue_name": "q%d"}`, j), fmt.Sprint(j)))
		}
	}
	for range 3 {
		<-entered
	}
	for _, s := range g.openSessions() {
		eventually(t, "all frames are taken", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.outstanding == 5 && s.blocking <= 2
		})
	}
	if n := len(entered); n != 0 {
		t.Errorf("%d handlers more than may run at a time", n)
	}
	close(goOn)
	for _, c := range clients {
		for range 5 {
			c.expect(`"status":201`)
		}
	}
}

// A handler that panics costs its own frame an answer of 500, and nobody else anything.
func TestHandlerPanics(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.createQueue = func(context.Context, string) error { panic("broken") }
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("queue_create", `{"queue_name": "q"}`, "1"))
	c.expect(`"id":1,`, `"status":500`)
	c.sendText(postFrame("q", "1", "2"))
	c.expect(`"id":2,`, "201")
}

// What a session's authenticate says holds for the frames behind it, also those sent before it was answered.
func TestSessionDefaults(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	bare := `{"action": "message_post", "body": {"queue_name": "q", "messages": [{"body": 1}]}}`
	c := openRaw(t, g.addr)
	c.sendText(bare)
	c.expect(`"status":400`)
	g.backend.hold.Store(true)
	c.sendText(postFrame("q", "1", "1")) // nobody waits for it
	post := <-g.backend.posts
	g.backend.hold.Store(false)
	var both []byte
	both = appendMasked(both, true, opText, []byte(`{"action": "authenticate", "headers": {"X-Auth-Token": "t", `+
		`"X-Project-ID": "p", "Client-ID": "11111111-1111-1111-1111-111111111111"}}`))
	both = appendMasked(both, true, opText, []byte(bare))
	c.write(both)
	c.expect(`"status":200`, "Authentified.")
	c.expect(`"status":201`)
	w := post.Waiter
	g.backend.commit(post)
	w.Flush()
	c.expect(`"id":1,`)

	c = openRaw(t, g.addr, "Client-ID: 11111111-1111-1111-1111-111111111111", "X-Project-ID: p")
	c.sendText(bare)
	c.expect(`"status":201`)
}

// Hundreds of sessions at once, each pipelining, on a queue of its own and a shared one.
func TestManySessions(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			c := openRaw(t, g.addr)
			for round := range 5 {
				var frames []byte
				for i := range 10 {
					queue := "shared"
					if i%3 == 0 {
						queue = fmt.Sprintf("q%d", n)
					}
					if i%4 == 0 {
						frames = appendMasked(frames, true, opText, []byte(fmt.Sprintf(
							`{"action": "message_list", "body": {"queue_name": %q, "limit": %d}, %s}`, queue, i+1, testHeaders)))
					} else {
						frames = appendMasked(frames, true, opText, []byte(postFrame(queue, fmt.Sprint(100*round+i), "")))
					}
				}
				c.write(frames)
				for i := range 10 {
					if i%4 == 0 {
						c.expect(fmt.Sprintf(`"limit": %d}`, i+1), `"status":200`)
					} else {
						c.expect(fmt.Sprintf(`"body": %d}`, 100*round+i), `"status":201`)
					}
				}
			}
			c.conn.Close()
		})
	}
	wg.Wait()
	eventually(t, "all sessions have ended", func() bool { return len(g.openSessions()) == 0 && g.seats.Load() == 0 })
}
