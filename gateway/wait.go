package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// parking keeps the calls that wait for a message (wait of claim_create and message_list): a room for each queue, in
// which they stand in the order in which they came.
//
// A call enters its room before it looks at the store for the first time, not after it found nothing: whoever posts
// between that look and the entry would wake nobody, and the call would sleep beside a message. While it looks it is
// busy, and who wakes it then makes it look once more. So after every event a call that was in the room looks, or none
// was there: no wake is lost. A busy call that ends without having found out whether there is something passes what
// woke it on to the next; so does one that got something, for there may be more.
//
// While a call is parked it holds no goroutine, no memory for its reply, and no place in its session's pipeline or
// among the requests that are carried out: its frame, and an entry here.
//
// Nothing here waits: events come from the store's and the notifier's goroutines. Woken calls are started by a goroutine
// of the parking's own.
type parking struct {
	gw  *Gateway
	cfg *WaitConfig
	// count is how many calls are in rooms, to look at without the mutex.
	count atomic.Int64
	// started has a token when woken calls are to be started.
	started chan struct{}

	mu       sync.Mutex
	stopped  bool
	rooms    map[protocol.QueueKey]*room
	byID     map[int64]*room
	projects map[string]int
	peers    map[any]*visitor
	serial   uint64
	// ends are the parked calls by the end of their wait.
	ends waitHeap
	// woken are calls that are to look again.
	woken []*waiter
	scouts
}

// room holds the calls that wait for messages of one queue. The mutex of parking guards it.
type room struct {
	key protocol.QueueKey
	// id is the id of the queue that has the name, as far as it is known; 0 if it is not.
	id int64
	// claims and lists are the parked calls, the oldest first, busy those that look.
	claims, lists, busy waitList
	// scoutAt is when somebody looks again without having been woken; index is the room's place among those to scout.
	scoutAt int64
	index   int
}

func (r *room) empty() bool { return r.claims.head == nil && r.lists.head == nil && r.busy.head == nil }

// visitor is what waiting calls are counted for: a session, or an address.
type visitor struct {
	// waiters are its calls, in any order.
	waiters []*waiter
}

// waiter is a call in a room. The mutex of parking guards it.
type waiter struct {
	c *call
	// room is nil once the call has left it, or if there was no place: refused says so then.
	room    *room
	refused *protocol.Error
	// limit is how many messages a claim takes; 0 for a list.
	limit  int
	serial uint64
	// until is the gateway's clock when the wait is over.
	until int64
	// again says that there was an event while the call looked, over that nobody waits for it any more.
	again, over bool

	visitor      any
	visitorIndex int
	list         *waitList
	prev, next   *waiter
	heapIndex    int
}

func newParking(g *Gateway) *parking {
	return &parking{
		gw: g, cfg: &g.cfg.Wait, started: make(chan struct{}, 1),
		rooms: make(map[protocol.QueueKey]*room), byID: make(map[int64]*room),
		projects: make(map[string]int), peers: make(map[any]*visitor),
	}
}

// enter puts a call that may wait into its room, unless it is there already. It has to be called before each look at the
// store. id is the queue's, 0 if it is not known.
func (p *parking) enter(c *call) (id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.wait == nil {
		c.wait = p.newWaiter(c)
		if c.wait.refused == nil {
			p.admit(c.wait)
		}
	}
	if r := c.wait.room; r != nil {
		return r.id
	}
	return 0
}

// newWaiter makes a waiter for a call, which is refused if there is no place. Requires mu.
func (p *parking) newWaiter(c *call) *waiter {
	w := &waiter{c: c, heapIndex: -1, until: c.arrived + int64(c.req.Fields.Wait)*int64(time.Second)}
	if c.req.Class() == protocol.ClassClaim {
		w.limit = max(1, c.req.Fields.Limit)
	}
	most := p.cfg.PerSession
	w.visitor = c.sess
	if c.http != nil {
		w.visitor, most = c.http.client, p.cfg.PerAddress
	}
	v := p.peers[w.visitor]
	switch {
	case p.stopped:
		w.refused = protocol.ErrorStopping(retryStopping)
	case int(p.count.Load()) >= p.cfg.MaxCalls:
		w.refused = errTooManyWait(503, "Too many requests wait for messages.")
	case p.projects[c.queue().Project] >= p.cfg.PerProject:
		w.refused = errTooManyWait(429, "Too many requests of this project wait for messages.")
	case v != nil && len(v.waiters) >= most:
		w.refused = errTooManyWait(429, "Too many requests of this client wait for messages.")
	}
	return w
}

func errTooManyWait(status int, text string) *protocol.Error {
	return &protocol.Error{
		Status: status, Kind: protocol.KindAction, Code: "too_many_waiting", Exception: text,
		Outcome: protocol.OutcomeNothing, RetryAfter: retryOverloaded,
	}
}

// admit puts a waiter into its room, busy. Requires mu.
func (p *parking) admit(w *waiter) {
	key := w.c.key()
	r := p.rooms[key]
	if r == nil {
		r = &room{key: key}
		p.rooms[key] = r
		p.watch(r)
	}
	p.count.Add(1)
	p.projects[key.Project]++
	v := p.peers[w.visitor]
	if v == nil {
		v = new(visitor)
		p.peers[w.visitor] = v
	}
	w.visitorIndex = len(v.waiters)
	v.waiters = append(v.waiters, w)
	p.serial++
	w.room, w.serial = r, p.serial
	r.busy.push(w)
}

// remove takes a waiter out of its room. What made it look and was not answered is passed on. Requires mu.
func (p *parking) remove(w *waiter) {
	r := w.room
	w.list.remove(w)
	p.ends.remove(w)
	w.room = nil
	p.count.Add(-1)
	if p.projects[r.key.Project]--; p.projects[r.key.Project] == 0 {
		delete(p.projects, r.key.Project)
	}
	p.forgetVisit(w)
	if r.empty() {
		delete(p.rooms, r.key)
		if p.byID[r.id] == r {
			delete(p.byID, r.id)
		}
		p.unwatch(r)
		return
	}
	if w.again && w.limit > 0 {
		p.wakeClaims(r, 1)
	}
}

func (p *parking) forgetVisit(w *waiter) {
	v := p.peers[w.visitor]
	last := len(v.waiters) - 1
	v.waiters[w.visitorIndex] = v.waiters[last]
	v.waiters[w.visitorIndex].visitorIndex = w.visitorIndex
	v.waiters[last] = nil
	v.waiters = v.waiters[:last]
	if last == 0 {
		delete(p.peers, w.visitor)
	}
}

// bind notes the id of a room's queue, and says whether that is news. Ids only grow. Requires mu.
func (p *parking) bind(r *room, id int64) bool {
	if id <= r.id {
		return false
	}
	if p.byID[r.id] == r {
		delete(p.byID, r.id)
	}
	r.id = id
	p.byID[id] = r
	return true
}

// learn notes the id of the queue that a busy call is about.
func (p *parking) learn(c *call, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := c.wait.room; r != nil {
		p.bind(r, id)
	}
}

// settle parks a call that looked and found nothing. False means that it is to be answered: its wait is over, or it has
// no place. If true is returned the call must not be touched any more. id is the queue's as the look has found it, 0 if
// there is none.
func (p *parking) settle(c *call, id int64) bool {
	w := c.wait
	if !p.mayWait(w, id) {
		return false
	}
	if !c.peer.park(c) {
		p.leave(c, false)
		return false
	}
	p.mu.Lock()
	switch {
	case w.room == nil || w.over:
		if w.room != nil {
			p.remove(w)
		}
		p.mu.Unlock()
		w.end()
	case w.again:
		p.rouse(w)
		p.mu.Unlock()
	default:
		w.list.remove(w)
		if w.limit > 0 {
			w.room.claims.insert(w)
		} else {
			w.room.lists.insert(w)
		}
		p.ends.add(w)
		p.mu.Unlock()
	}
	return true
}

// mayWait says whether a call that found nothing may wait on; if not, it has left its room.
func (p *parking) mayWait(w *waiter, id int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.room == nil {
		return false
	}
	if p.bind(w.room, id) {
		// Until now what other gateways told of this queue was not for this room.
		w.again = true
	}
	if w.over || p.gw.clock.exact() >= w.until {
		p.remove(w)
		return false
	}
	return true
}

// leave takes a call out of its room whose look has an answer, or which ended in another way. pass has another one look:
// there may be more, or this one does not know.
func (p *parking) leave(c *call, pass bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := c.wait
	if w == nil || w.room == nil {
		return
	}
	r := w.room
	busy := w.list == &r.busy
	w.again = w.again || pass && busy
	p.remove(w)
}

// failed takes a call out of its room whose look failed. Another one looks, but at a scout's pace: the store may be away.
func (p *parking) failed(c *call) {
	p.mu.Lock()
	if w := c.wait; w != nil && w.room != nil {
		w.room.scoutAt = 0
	}
	p.mu.Unlock()
	p.leave(c, false)
}

// gone is leave for a call that was answered or given up, whoever did it.
func (p *parking) gone(c *call) { p.leave(c, true) }

// abandon ends the wait of a call that nobody waits for.
func (p *parking) abandon(c *call) {
	p.mu.Lock()
	w := c.wait
	if w == nil || w.room == nil {
		p.mu.Unlock()
		return
	}
	parked := p.dismiss(w)
	p.mu.Unlock()
	if parked {
		w.end()
	}
}

// dismiss takes a parked call out of its room, or makes a busy one not wait any more; it says which. Requires mu.
func (p *parking) dismiss(w *waiter) (parked bool) {
	if w.heapIndex < 0 {
		w.over = true
		return false
	}
	p.remove(w)
	return true
}

// evict ends the waits of a session's calls.
func (p *parking) evict(s *session) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	var ended []*waiter
	if v := p.peers[any(s)]; v != nil {
		ended = p.dismissAll(append([]*waiter(nil), v.waiters...))
	}
	p.mu.Unlock()
	endAll(ended)
}

// dismissAll returns those of the waiters that were parked. Requires mu.
func (p *parking) dismissAll(waiters []*waiter) (parked []*waiter) {
	for _, w := range waiters {
		if p.dismiss(w) {
			parked = append(parked, w)
		}
	}
	return parked
}

// stop ends all waits; no more begin.
func (p *parking) stop() {
	p.mu.Lock()
	p.stopped = true
	var ended []*waiter
	for _, v := range p.peers {
		ended = append(ended, v.waiters...)
	}
	ended = p.dismissAll(ended)
	p.mu.Unlock()
	endAll(ended)
}

func endAll(waiters []*waiter) {
	for _, w := range waiters {
		w.end()
	}
}

// end answers a call that has left its room that there is nothing.
func (w *waiter) end() {
	if w.limit > 0 {
		w.c.answer(204, (*nothingClaimed)(w.c))
		return
	}
	w.c.answer(200, &messagesFound{listed: true})
}
