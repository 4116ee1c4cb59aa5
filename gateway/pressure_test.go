package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// messagesOf returns n messages with bodies of size bytes.
func messagesOf(n, size int) []protocol.Message {
	page := make([]protocol.Message, n)
	for i := range page {
		page[i] = protocol.Message{
			ID: protocol.MessageID{Queue: 1, N: int64(i + 1)}, Body: []byte(`"` + strings.Repeat("x", size) + `"`),
		}
	}
	return page
}

// soon receives what has to come.
func soon[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(testPatience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// large is a JSON string larger than a session's allowance.
var large = `"` + strings.Repeat("x", 100<<10) + `"`

// A fetch waits while its session has no room for the reply, and replies that wait for it do not count against it.
func TestFetchesWaitForTheirReplies(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.MaxReplyBytes = 64 << 10 })
	g.backend.page = messagesOf(1, 50<<10)
	g.backend.hold.Store(true)
	c := openRaw(t, g.addr)
	c.sendText(`{"action": "message_post", "body": {"queue_name": "q1", "messages": [{"body": 1}]}, ` + testHeaders + `}`)
	post := soon(t, g.backend.posts)
	list := `{"action": "message_list", "body": {"queue_name": %q}, ` + testHeaders + `}`
	for i := range 20 {
		// The first of them waits for the post; the others' replies have to wait for its reply.
		c.sendText(fmt.Sprintf(list, fmt.Sprintf("q%d", 1+i%2)))
	}
	s := g.session(t)
	eventually(t, "fetches wait", func() bool { return s.fetching.count.Load() > 0 })
	s.mu.Lock()
	made := s.made
	s.mu.Unlock()
	if most := 5 * 52 << 10; made > most {
		t.Errorf("%d bytes of replies wait, want at most %d", made, most)
	}
	w := post.Waiter
	g.backend.commit(post)
	w.Flush()
	c.expect(`"status":201`)
	for range 20 {
		c.expect(`"status":200`)
	}
	eventually(t, "nothing is expected any more", func() bool { return g.admission.expected.Load() == 0 })
}

// While the memory is used up, fetches of sessions above their allowance wait. Those of others are carried out, but a
// reply that is too large then is not kept.
func TestFetchesWaitForTheBudget(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	holder, other := openRaw(t, g.addr), openRaw(t, g.addr)
	g.backend.hold.Store(true)
	holder.sendText(postFrame("held", large, "1"))
	post := soon(t, g.backend.posts)

	g.memory.add(g.memory.max)
	list := actionFrame("message_list", `{"queue_name": "q"}`, "2")
	g.backend.page = messagesOf(1, 1000)
	other.sendText(list)
	other.expect(`"id":2,`, `"status":200`)
	g.backend.page = messagesOf(2, 200<<10)
	other.sendText(list)
	other.expect(`"id":2,`, `"status":503`, "overloaded")

	g.memory.add(-g.memory.max)
	other.sendText(list)
	other.expect(`"id":2,`, `"status":200`)
	w := post.Waiter
	g.backend.commit(post)
	w.Flush()
	holder.expect(`"id":1,`, "201")
}

// A fetch that there is no memory for begins when there is.
func TestAdmission(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.SessionAllowance = smallFrame })
	g.backend.page = messagesOf(1, 1000)
	g.memory.add(g.memory.max)
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("message_list", `{"queue_name": "q"}`, "1"))
	eventually(t, "the fetch waits", func() bool { return g.admission.count.Load() == 1 })
	g.memory.add(-g.memory.max)
	c.expect(`"id":1,`, `"status":200`)
}

// A claim for whose messages there is no memory is told to the store as abandoned, and answered 503; one that has its
// messages already is given back.
func TestOverdrawnClaim(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.hold.Store(true)
	c, other := openRaw(t, g.addr), openRaw(t, g.addr)
	claim := func(c *rawClient) *protocol.ClaimOp {
		c.sendText(actionFrame("claim_create", `{"queue_name": "q"}`, "1"))
		return soon(t, g.backend.claims)
	}
	op, theirs := claim(c), claim(other)
	c.sendText(postFrame("held", large, "2"))
	post := soon(t, g.backend.posts)

	g.memory.add(g.memory.max)
	if !op.Abandoned() || theirs.Abandoned() {
		t.Errorf("abandoned: %v of the session that holds much, %v of the other", op.Abandoned(), theirs.Abandoned())
	}
	w := op.Waiter
	op.Err = protocol.ErrUnavailable
	w.Done()
	w.Flush()
	c.expect(`"id":1,`, `"status":503`, "overloaded")

	w = theirs.Waiter
	theirs.ClaimID, theirs.Messages = "claim", messagesOf(2, 200<<10)
	w.Done()
	w.Flush()
	if id := soon(t, g.backend.released); id != "claim" {
		t.Errorf("released %q", id)
	}
	other.expect(`"id":1,`, `"status":503`, "overloaded")
	g.memory.add(-g.memory.max)
	w = post.Waiter
	g.backend.commit(post)
	w.Flush()
	c.expect(`"id":2,`, "201")
}

// A session that waits because it holds more than its allowance goes on when it holds less, although the memory is
// still used up.
func TestSessionGetsLighter(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	g.backend.hold.Store(true)
	c := openRaw(t, g.addr)
	c.sendText(postFrame("held", large, "1"))
	post := soon(t, g.backend.posts)
	g.backend.hold.Store(false)
	g.memory.add(g.memory.max)
	defer g.memory.add(-g.memory.max)
	c.sendText(postFrame("q", "1", "2")) // may be read before the memory is used up
	c.sendText(postFrame("q", "1", "3"))
	eventually(t, "reader waits", func() bool { return g.memory.waiters.Load() == 1 })
	w := post.Waiter
	g.backend.commit(post)
	w.Flush()
	for range 3 {
		c.expect("201")
	}
}

// Clients that do not take their replies use the memory up; those that hold most are closed, and the others go on.
func TestPressureClosesSlowReaders(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.MemoryBudget = 24 << 20
		c.PressureTimeout = 100 * time.Millisecond
		c.MaxFetches = 4
	})
	g.backend.page = messagesOf(20, 250<<10)
	slow := make([]*rawClient, 10)
	for i := range slow {
		slow[i] = openRaw(t, g.addr)
		for range 4 {
			slow[i].sendText(actionFrame("message_list", `{"queue_name": "q"}`, "1"))
		}
	}
	eventually(t, "memory is short", func() bool { return g.memory.full() || g.admission.count.Load() > 0 })
	began := time.Now()
	victim := openRaw(t, g.addr)
	victim.sendText(postFrame("q", "1", "1"))
	victim.expect("201")
	victim.sendText(postFrame("q", large, "2"))
	victim.expect("201")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the other client waited %v", took)
	}
	eventually(t, "slow sessions were closed", func() bool { return len(g.openSessions()) <= len(slow) })
	eventually(t, "nobody waits for memory", func() bool {
		return !g.memory.full() && g.memory.waiters.Load() == 0 && g.admission.count.Load() == 0
	})
}

// Whoever holds memory for a large frame and does not go on with it loses its place to those that wait.
func TestUnfinishedLargeFrames(t *testing.T) {
	t.Parallel()
	// One of the two is enough for those that wait; the other one goes with its frame's time.
	g := serveTest(t, func(c *Config) { c.MemoryBudget, c.FrameTimeout = 8<<20, 10*time.Second })
	half := maskedFrame(true, opText, []byte(postFrame("q", `"`+strings.Repeat("x", 900<<10)+`"`, "1")))[:800<<10]
	holders := make([]*rawClient, 2)
	for i := range holders {
		holders[i] = openRaw(t, g.addr)
		holders[i].write(half)
	}
	eventually(t, "memory for large frames is used up", g.reading.full)
	victim := openRaw(t, g.addr)
	began := time.Now()
	victim.sendText(postFrame("q", large, "1"))
	victim.expect("201")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the other client waited %v", took)
	}
	for _, c := range holders {
		c.expectClose(int(protocol.ClosePolicy))
	}
}

// A large frame that comes slowly, but fast enough, is not closed though others wait.
func TestSteadyLargeFrame(t *testing.T) {
	t.Parallel()
	s := &session{gw: &Gateway{cfg: DefaultConfig()}}
	s.gw.reading.waiters.Store(1)
	s.conn = new(conn)
	slow := false
	second := int64(time.Second)
	for i := range int64(40) {
		s.frameGot.Store(8<<10 + i*17<<10) // every quarter of a second
		s.checkProgress(1 + i*second/4)
		slow = slow || s.keep.slow
	}
	if slow {
		t.Error("a frame of 68 KiB per second was taken for one that makes no progress")
	}
}
