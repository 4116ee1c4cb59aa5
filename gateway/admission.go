package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/nusku-messaging/nusku/protocol"
)

// A fetch is a frame whose reply may be far larger than itself: a claim, a read, a pop. What is bounded before it
// starts is therefore what the reply is expected to take, by the replies that the session got of late. It needs room
// twice: among its session's replies (MaxReplyBytes), and in the memory budget of all sessions.

// fetches is the part of a session that holds fetches back, guarded by its mutex.
type fetches struct {
	// waiting are those that the session has no room for; count is their number, to look at without the mutex.
	waiting jobList
	count   atomic.Int32
	// expected is what the replies of those under way are expected to take in all, largest what recent ones took.
	expected, largest int
}

// leastReply is the least that a reply to a fetch is expected to take. Bytes.
const leastReply = 16 << 10

// isFetch says whether a frame is a fetch.
func isFetch(req *protocol.Request) bool {
	switch req.Class() {
	case protocol.ClassClaim, protocol.ClassRead:
		return true
	case protocol.ClassExclusive:
		return isPop(req)
	case protocol.ClassSession:
		return req.Action != nil && req.Action.Name == "queue_list"
	}
	return false
}

// isPop says whether a frame takes messages away: its reply cannot be dropped.
func isPop(req *protocol.Request) bool { return req.Fields.Set.Has(protocol.FieldPop) }

// isRead says whether a frame changes nothing: its reply can be dropped.
func isRead(req *protocol.Request) bool {
	class := req.Class()
	return class == protocol.ClassRead || class == protocol.ClassSession
}

// startFetch starts a fetch if its session has room for the reply, else it waits for that.
func (s *session) startFetch(c *call) {
	s.mu.Lock()
	if f := &s.fetching; c.expected == 0 {
		if !f.waiting.empty() || !s.mayFetch(c) {
			f.waiting.push(&c.job)
			f.count.Add(1)
			// What the socket took before the count was seen has let nobody in.
			s.letFetches()
			s.mu.Unlock()
			return
		}
		s.beginFetch(c)
	}
	s.mu.Unlock()
	s.gw.admission.submit(c)
}

// mayFetch says whether the session has room for the reply of c. One fetch always may when nothing is unsent. The
// oldest unanswered frame may also when replies wait for it: only what the socket has not taken counts for it. Requires
// mu.
func (s *session) mayFetch(c *call) bool {
	if s.finished || c.state.Load() == callExpired {
		return true // and ends at once
	}
	most, n, pending := s.gw.cfg.MaxReplyBytes, s.expects(), int(s.out.pending.Load())
	if total := s.made + pending + s.fetching.expected; total == 0 || total+n <= most {
		return true
	}
	return s.unanswered.head == c && (pending == 0 || pending+n <= most)
}

// expects is what the session's next reply to a fetch is expected to take. Requires mu.
func (s *session) expects() int { return max(2*s.fetching.largest, leastReply) }

// mayBegin says whether there still is room for the reply of c, which has waited for a goroutine: its session may hold
// more by now, and get larger replies, than when it was let go. If not, it has to be started anew.
func (s *session) mayBegin(c *call) bool {
	if !c.fetch || c.state.Load() != callWaiting {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.gw.memory.full() && s.holding()+s.fetching.expected > s.gw.allowance()
	if c.expected >= s.expects() && !full {
		return true
	}
	s.endFetch(c)
	return false
}

func (s *session) beginFetch(c *call) {
	c.expected = s.expects()
	s.fetching.expected += c.expected
}

// endFetch gives back what was expected of c. Requires mu.
func (s *session) endFetch(c *call) {
	if c.expected > 0 {
		s.fetching.expected -= c.expected
		s.gw.admission.release(c.expected)
		c.expected = 0
	}
}

// fetched notes the size of the reply to c; those before it fade. Requires mu.
func (s *session) fetched(c *call, size int) {
	if c.expected == 0 || c.early {
		return // its handler still runs, or it had none
	}
	f := &s.fetching
	f.largest = max(size, f.largest-f.largest/8)
	s.endFetch(c)
}

// letFetches lets those waiting fetches go for which there is room now. Requires mu.
func (s *session) letFetches() {
	f := &s.fetching
	if f.waiting.empty() {
		return
	}
	var left jobList
	for !f.waiting.empty() {
		j := f.waiting.pop()
		if !s.mayFetch(j.call) {
			left.push(j)
			continue
		}
		f.count.Add(-1)
		s.beginFetch(j.call)
		s.pipe.runnable.push(j)
	}
	f.waiting = left
	s.goOn()
}

// spare implements peer.
func (s *session) spare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding()+s.fetching.expected <= s.gw.allowance()
}

// proceed runs the handler of a call, or has it run.
func (c *call) proceed() {
	if c.handler.blocking {
		c.peer.block(c)
		return
	}
	c.handle()
}

// admission lets the fetches of all sessions begin, in order, as far as the memory budget goes. Those of a session that
// stays within its allowance go at once.
type admission struct {
	gw *Gateway
	// expected is what the replies of those under way are expected to take, count how many wait.
	expected atomic.Int64
	count    atomic.Int32
	// admitting is set while a goroutine lets fetches go.
	admitting atomic.Bool

	mu      sync.Mutex
	waiting jobList
}

// submit takes a fetch whose peer has room for it.
func (a *admission) submit(c *call) {
	if a.count.Load() == 0 && a.reserve(c) || a.exempt(c) {
		c.proceed()
		return
	}
	a.mu.Lock()
	a.waiting.push(&c.job)
	a.count.Add(1)
	a.mu.Unlock()
	// What was released before the count was seen has let nobody in.
	a.wake()
}

// reserve counts what c is expected to take, if there is room for it. One always goes while the budget has any room.
func (a *admission) reserve(c *call) bool {
	n := int64(c.expected)
	under, used := a.expected.Add(n), a.gw.memory.used.Load()
	if used+under <= a.gw.memory.max || under == n && used < a.gw.memory.max {
		return true
	}
	a.expected.Add(-n)
	return false
}

// exempt says whether c goes whatever the others hold, and then counts it. A pop never is, for its reply could not be
// dropped if it is larger than expected.
func (a *admission) exempt(c *call) bool {
	if c.state.Load() != callExpired && !c.peer.ended() && (isPop(&c.req) || !c.peer.spare()) {
		return false
	}
	a.expected.Add(int64(c.expected))
	return true
}

// release gives back what a fetch that has ended was expected to take, and lets the next ones go.
func (a *admission) release(n int) {
	a.expected.Add(-int64(n))
	a.wake()
}

// wake has those let go that there is room for, without waiting: the caller may hold locks.
func (a *admission) wake() {
	if a.count.Load() > 0 && a.admitting.CompareAndSwap(false, true) {
		a.gw.blockers.work.Go(func() {
			a.admit(a.take(a.reserve, false))
			a.admitting.Store(false)
		})
	}
}

// admitAll also lets those go that have become exempt, or whose time is up. The keepalive calls it at each tick, which
// makes up for what wake passes over.
func (a *admission) admitAll() {
	if a.count.Load() > 0 {
		a.admit(a.take(func(c *call) bool { return a.reserve(c) || a.exempt(c) }, true))
	}
}

// take removes and returns the waiting fetches that may go: those at the front, or all.
func (a *admission) take(may func(*call) bool, all bool) jobList {
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken, left jobList
	for !a.waiting.empty() && (all || left.empty()) {
		if j := a.waiting.pop(); may(j.call) {
			taken.push(j)
			a.count.Add(-1)
		} else {
			left.push(j)
		}
	}
	left.join(&a.waiting)
	a.waiting = left
	return taken
}

func (a *admission) admit(list jobList) {
	for !list.empty() {
		c := list.pop().call
		c.proceed()
	}
}
