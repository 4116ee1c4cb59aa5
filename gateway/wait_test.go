package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// nothingThere ends a look of a claim with nothing, in queue 1.
func nothingThere(op *protocol.ClaimOp) {
	op.QueueID = 1
	waiter := op.Waiter
	waiter.Done()
	waiter.Flush()
}

// posted is what the gateway hears of n messages in queue q.
func posted(n int) []protocol.Committed {
	return []protocol.Committed{{
		Queue: protocol.QueueKey{Project: "p", Name: "q"}, QueueID: 1, First: 1, Messages: make([]protocol.NewMessage, n),
		IDs: make([]protocol.MessageID, n),
	}}
}

func noScouts(c *Config) { c.Wait.ScoutInterval = time.Hour }

// waitingClaim opens a session and a claim on queue q that waits.
func (g *testGateway) waitingClaim(t *testing.T) (*rawClient, *protocol.ClaimOp) {
	t.Helper()
	c := openRaw(t, g.addr)
	c.sendText(actionFrame("claim_create", `{"queue_name": "q", "wait": 30, "limit": 1}`, "1"))
	return c, soon(t, g.backend.claims)
}

// TestEventDuringALook checks what every wait rests on: an event between the look at the store and its answer makes the
// call look again. Also the id of the queue, which the first look brings, does: before it, nothing was heard of others.
func TestEventDuringALook(t *testing.T) {
	t.Parallel()
	g := serveTest(t, noScouts)
	_, op := g.waitingClaim(t)
	nothingThere(op)
	op = soon(t, g.backend.claims) // because of the queue's id
	for name, event := range map[string]func(){
		"post": func() { g.Committed(posted(1)) }, "post elsewhere": func() { g.Wake(1, 1) },
		"release": func() { g.Released(1) }, "queue": func() { g.QueueChanged(protocol.QueueKey{Project: "p", Name: "q"}, 1) },
	} {
		event()
		nothingThere(op)
		op = soon(t, g.backend.claims)
		if g.Waiting() != 0 {
			t.Errorf("%s: asleep", name)
		}
	}
	nothingThere(op)
	eventually(t, "it sleeps", func() bool { return g.Waiting() == 1 })
	g.Committed(posted(1))
	grant(soon(t, g.backend.claims))
	eventually(t, "its room is empty", func() bool { return g.parking.count.Load() == 0 })
}

// TestParkedCallsHoldNothing checks that what waits takes no place of what works.
func TestParkedCallsHoldNothing(t *testing.T) {
	t.Parallel()
	g := serveTest(t, noScouts)
	_, op := g.waitingClaim(t)
	nothingThere(op)
	nothingThere(soon(t, g.backend.claims))
	request := dialPlain(t, g.addr)
	request.write([]byte(restHead("POST", "/v2/queues/q/claims?wait=30", "")))
	nothingThere(soon(t, g.backend.claims))
	eventually(t, "both sleep", func() bool { return g.Waiting() == 2 })
	s := g.session(t)
	s.mu.Lock()
	fetches, lanes, unanswered, outstanding := s.fetches, len(s.pipe.lanes), s.unanswered.head, s.outstanding
	s.mu.Unlock()
	if fetches != 0 || lanes != 0 || unanswered != nil || outstanding != 1 {
		t.Errorf("%d fetches, %d lanes, unanswered %v, %d outstanding", fetches, lanes, unanswered, outstanding)
	}
	if expected, running := g.admission.expected.Load(), g.rest.running.Load(); expected != 0 || running != 0 {
		t.Errorf("%d bytes expected, %d requests carried out", expected, running)
	}
}

// TestWakesGoRound checks who is woken: as many as there are messages, the oldest first, and the next one by who got
// something; and that who ends without a look passes the wake on.
func TestWakesGoRound(t *testing.T) {
	t.Parallel()
	g := serveTest(t, noScouts)
	var clients []*rawClient
	for i := range 4 {
		c, op := g.waitingClaim(t)
		nothingThere(op)
		if i == 0 {
			nothingThere(soon(t, g.backend.claims))
		}
		eventually(t, "it sleeps", func() bool { return g.Waiting() == i+1 })
		clients = append(clients, c)
	}
	g.Committed(posted(2))
	first, second := soon(t, g.backend.claims), soon(t, g.backend.claims)
	if g.Waiting() != 2 {
		t.Errorf("%d sleep, want 2", g.Waiting())
	}
	clients[0].conn.Close()
	eventually(t, "nobody waits", first.Abandoned)
	first.Err = protocol.ErrUnavailable
	nothingThere(first)
	third := soon(t, g.backend.claims) // in place of the first
	grant(second)
	fourth := soon(t, g.backend.claims) // the second got something
	nothingThere(third)
	nothingThere(fourth)
	eventually(t, "two sleep", func() bool { return g.Waiting() == 2 })
	clients[1].expect(`"status":201`, "claim-1")
}

func TestWaitAndStreamConfigsAreChecked(t *testing.T) {
	t.Parallel()
	if err := (WaitConfig{}).Check(); err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("wait: %v", err)
	}
	if err := (StreamConfig{Retry: -1}).Check(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("streams: %v", err)
	}
}
