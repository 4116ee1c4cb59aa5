package gateway

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// impatient makes calls end soon.
func impatient(c *Config) {
	c.Handlers.OperationTimeout, c.RequestTimeout = 200*time.Millisecond, 200*time.Millisecond
}

// Claim waits for the test, like a held post.
func (b *sessionBackend) Claim(c *protocol.ClaimOp) { b.claims <- c }

// ReleaseClaim tells the test.
func (b *sessionBackend) ReleaseClaim(_ context.Context, _ protocol.QueueKey, id string) error {
	b.released <- id
	return nil
}

// holdPosts keeps posts waiting; those that a failed test leaves are answered, so that the gateway can end.
func (b *sessionBackend) holdPosts(t *testing.T) {
	b.hold.Store(true)
	t.Cleanup(func() {
		for b.hold.Store(false); len(b.posts) > 0; {
			b.commitHeld()
		}
	})
}

// commitHeld answers the post that has waited longest.
func (b *sessionBackend) commitHeld() {
	post := <-b.posts
	waiter := post.Waiter
	b.commit(post)
	waiter.Flush()
}

// TestFramesBehindAStuckOneAreAnswered checks that everything behind a post that the store does not answer is answered
// in order, that none of it begins, and that the session goes on as if nothing had been once the store answers.
func TestFramesBehindAStuckOneAreAnswered(t *testing.T) {
	t.Parallel()
	g := serveTest(t, impatient)
	g.backend.holdPosts(t)
	c := openRaw(t, g.addr)
	begun := time.Now()
	c.sendText(postFrame("q", "1", ""))
	list := strings.Replace(actionFrame("message_list", `{"queue_name": "q"}`, "1"), `, "id": 1`, "", 1)
	c.sendText(list)
	c.sendText(postFrame("q", "2", ""))
	c.sendText(strings.Replace(actionFrame("authenticate", `{}`, "77"), `"X-Pro`, `"X-Auth-Token": "t", "X-Pro`, 1))
	c.sendText(postFrame("q", "3", `"last"`))
	// Those with an id may overtake, and authenticate waits for nobody.
	c.expect(`"id":77,`, `"status":200`)
	c.expect(`"id":"last"`, "503", `"outcome":"nothing"`)
	c.expect(`"messages": [{"body": 1}]`, "503", `"outcome":"unknown"`, `"retry_after":`)
	c.expect(`"message_list"`, "503", `"outcome":"nothing"`)
	c.expect(`"messages": [{"body": 2}]`, "503", `"outcome":"nothing"`)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("answered after %v", took)
	}
	if n := len(g.backend.posts); n != 1 {
		t.Errorf("%d posts reached the store, want 1", n)
	}
	s := g.session(t)
	s.mu.Lock()
	if s.outstanding == 0 {
		t.Error("what is still held is not counted")
	}
	s.mu.Unlock()
	g.backend.hold.Store(false)
	g.backend.commitHeld()
	c.sendText(postFrame("q", "4", "9"))
	c.expect(`"id":9,`, "201")
	eventually(t, "nothing is held", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.outstanding == 0 && s.heldBytes == 0 && s.oldest.Load() == 0 && len(s.pipe.lanes) == 0
	})
}

// TestBlockedHandlersAreAnswered checks the same for calls that wait for a goroutine.
func TestBlockedHandlersAreAnswered(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { impatient(c); c.Blocking, c.BlockingPerSession = 2, 1 })
	let := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(let) })
	t.Cleanup(letGo)
	begun := make(chan string, 10)
	g.backend.createQueue = func(_ context.Context, name string) error {
		begun <- strings.Clone(name)
		<-let // deaf to its context
		return nil
	}
	a, b, c := openRaw(t, g.addr), openRaw(t, g.addr), openRaw(t, g.addr)
	for i, client := range []*rawClient{a, b, c} {
		for _, name := range []string{"q1", "q2"} {
			client.sendText(actionFrame("queue_create", `{"queue_name": "`+name+`"}`, `"`+name+`"`))
		}
		if i < 2 {
			<-begun
		}
	}
	for i, client := range []*rawClient{a, b, c} {
		if i == 2 {
			client.expect("503", `"outcome":"nothing"`)
			client.expect("503", `"outcome":"nothing"`)
			continue
		}
		client.expect(`"id":"q2"`, "503", `"outcome":"nothing"`)
		client.expect(`"id":"q1"`, "503", `"outcome":"unknown"`)
	}
	letGo()
	if n := len(begun); n != 0 {
		t.Errorf("%d handlers began after their call was answered", n)
	}
	for _, client := range []*rawClient{a, b, c} {
		client.sendText(actionFrame("queue_create", `{"queue_name": "q3"}`, "3"))
		client.expect(`"id":3,`, "201")
	}
}

// TestLateClaimIsGivenBack checks that a claim that its client was not told of does not keep its messages.
func TestLateClaimIsGivenBack(t *testing.T) {
	t.Parallel()
	g := serveTest(t, impatient)
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("claim_create", `{"queue_name": "q"}`, "1"))
	op := <-g.backend.claims
	if op.Abandoned() {
		t.Error("abandoned at once")
	}
	c.expect(`"id":1,`, "503", `"outcome":"unknown"`)
	if !op.Abandoned() {
		t.Error("answered and not abandoned")
	}
	op.ClaimID, op.Messages = "late", append(op.Messages, protocol.Message{Body: []byte("1")})
	waiter := op.Waiter
	waiter.Done()
	waiter.Flush()
	if id := <-g.backend.released; id != "late" {
		t.Errorf("released %q", id)
	}
	c.sendText(postFrame("q", "1", "2"))
	c.expect(`"id":2,`, "201")
}

// TestDrainWaitsForLateCalls checks that a session that stops ends after what it has begun has ended.
func TestDrainWaitsForLateCalls(t *testing.T) {
	t.Parallel()
	g := serveTest(t, impatient)
	g.backend.holdPosts(t)
	c := openRaw(t, g.addr)
	c.sendText(postFrame("q", "1", "1"))
	c.expect(`"id":1,`, "503")
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop(t.Context()) }()
	eventually(t, "the session drains", func() bool {
		s := g.session(t)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.draining
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a post under way: %v", err)
	default:
	}
	g.backend.commitHeld()
	c.expectClose(1001)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
