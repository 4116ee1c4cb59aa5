package gateway

import (
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// A call's time runs from the arrival of its frame, also while it waits for its turn. When it is up, a call that has
// not begun is answered and never begins: nothing was done. One that has begun gets a moment more for its own answer,
// which knows more; then it is answered, and what it was asked may or may not have happened. Either way its place in
// the pipeline stays taken until it would have been given up, so that frames keep their order.

// lateGrace is how long after its time is up a call that has begun may still give its own answer.
const lateGrace = 500 * time.Millisecond

// timeout is how long after its arrival a frame of that class has to be answered.
func (g *Gateway) timeout(class protocol.Class) time.Duration {
	switch class {
	case protocol.ClassPost, protocol.ClassClaim, protocol.ClassDelete:
		return g.cfg.Handlers.OperationTimeout
	}
	return g.cfg.RequestTimeout
}

// waits is how long the request may wait for a message; its time runs only then.
func waits(req *protocol.Request) time.Duration { return time.Duration(req.Fields.Wait) * time.Second }

// shortestCall is the shortest of all calls' timeouts.
func (g *Gateway) shortestCall() time.Duration {
	return min(g.cfg.Handlers.OperationTimeout, g.cfg.RequestTimeout)
}

// The causes of early answers, for the log.
var (
	errNotBegun = errors.New("not begun in time")
	errNotEnded = errors.New("not ended in time")
)

// begin says whether the call's handler may run. If not, the call is answered and gone.
func (c *call) begin() bool {
	if c.state.Load() != callWaiting {
		// A handler that goes on in another goroutine has begun long ago.
		return c.state.Load() != callExpired || c.skip()
	}
	if c.gw.clock.now() >= c.due {
		c.fail(protocol.ErrorUnavailable(retryUnavailable, errNotBegun))
		return false
	}
	return c.state.CompareAndSwap(callWaiting, callRunning) || c.skip()
}

// skip ends a call that was answered before it began. It returns false.
func (c *call) skip() bool {
	c.state.Store(callAnswered)
	c.peer.conclude(c)
	return false
}

// giveUp takes the answer of a call whose time is up away from its handler. It returns what the call is told, nil if
// its handler may still answer.
func (c *call) giveUp(now int64) *protocol.Error {
	switch {
	case now < c.due:
		return nil
	case c.state.CompareAndSwap(callWaiting, callExpired):
		return protocol.ErrorUnavailable(retryUnavailable, errNotBegun)
	case now >= c.due+int64(lateGrace) && c.state.CompareAndSwap(callRunning, callLate):
		return timedOut(&c.req, nil, errNotEnded)
	}
	return nil
}

// expireCalls answers the session's calls whose time is up. It is called by the keepalive and waits for nothing.
func (s *session) expireCalls(now int64) {
	if oldest := s.oldest.Load(); oldest == 0 || now-oldest < int64(s.gw.shortestCall()) {
		return
	}
	var late []*call
	var faults []*protocol.Error
	s.mu.Lock()
	for c, next := s.unanswered.head, (*call)(nil); c != nil; c = next {
		next = c.newer
		if e := c.giveUp(now); e != nil {
			s.setEarly(c)
			late, faults = append(late, c), append(faults, e)
		}
	}
	s.mu.Unlock()
	for i, c := range late {
		s.encodeError(c, faults[i])
		s.answered(c)
	}
}

// setEarly notes that the call is answered in its handler's place. What the handler, or the wait for it, still holds
// counts against the session's bounds until conclude. Requires mu.
func (s *session) setEarly(c *call) {
	s.forget(c)
	c.early = true
	c.kept = cap(c.input.b)
	c.refs.Add(1)
	s.work.Add(1)
	s.outstanding++
	s.heldBytes += c.kept
	s.gw.memory.add(int64(c.kept))
}

// conclude ends a call that was answered early: its handler is through with it, or will never begin. The call may be
// gone when it returns.
func (s *session) conclude(c *call) {
	c.endWait()
	s.mu.Lock()
	s.part(c)
	s.outstanding--
	s.heldBytes -= c.kept
	s.gw.memory.add(-int64(c.kept))
	s.endFetch(c)
	s.letFetches()
	s.goOn()
	if s.stalled.Load() {
		s.nudge()
	}
	owesNothing := s.draining && s.outstanding == 0
	s.mu.Unlock()
	c.release()
	if owesNothing {
		s.shut(protocol.CloseGoingAway)
	}
	s.work.Done()
}

// await adds a call to the unanswered ones. Requires mu.
func (s *session) await(c *call) {
	if s.unanswered.push(c) {
		s.oldest.Store(c.arrived)
	}
}

// forget takes a call out of the unanswered ones. Requires mu.
func (s *session) forget(c *call) {
	if !s.unanswered.remove(c) {
		return
	}
	oldest := int64(0)
	if first := s.unanswered.head; first != nil {
		oldest = first.arrived
	}
	s.oldest.Store(oldest)
}

// callList is a list of calls, linked by older and newer.
type callList struct{ head, tail *call }

// push adds a call at the end; it says whether it is the first one.
func (l *callList) push(c *call) (first bool) {
	c.older, c.newer = l.tail, nil
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.newer = c
	}
	l.tail = c
	return l.head == c
}

// remove takes out a call that is in the list; it says whether that was the first one.
func (l *callList) remove(c *call) (first bool) {
	first = l.head == c
	if first {
		l.head = c.newer
	} else {
		c.older.newer = c.newer
	}
	if l.tail == c {
		l.tail = c.older
	} else {
		c.newer.older = c.older
	}
	c.older, c.newer = nil, nil
	return first
}
