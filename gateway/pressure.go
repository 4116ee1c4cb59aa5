package gateway

import (
	"cmp"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// The memory budget is shared, but no session depends on the others' good will: each has an allowance outside of it.
// Whoever holds no more than that is read and answered also while the budget is used up; only the sessions above it
// wait. And the budget does not stay used up, for then the sessions that hold most and are slow to take it are closed.

// allowance is how many bytes a session may hold in frames and replies whatever the others hold. All allowances
// together are at most a quarter of the budget, or smallFrame for each session. An HTTP request has one, too.
func (g *Gateway) allowance() int {
	share := g.cfg.MemoryBudget / 4 / max(1, g.seats.Load()+g.rest.running.Load())
	return int(max(min(int64(g.cfg.SessionAllowance), share), smallFrame))
}

// holding is how many bytes the session holds in frames, replies and pushes. Requires mu.
func (s *session) holding() int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.heldBytes + int(s.out.pending.Load()) + s.out.pushing
}

// affords says whether the session may hold n bytes more by its allowance.
func (s *session) affords(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding()+n <= s.gw.allowance()
}

// overdrawn says whether the budget is used up and the session would with n bytes more hold more than its allowance.
func (s *session) overdrawn(n int) bool {
	return s.gw.memory.full() && !s.affords(n)
}

// errOverdrawn is why a fetch is answered 503: the memory for its reply is not there.
var errOverdrawn = errors.New("the memory budget is used up, and this session holds more than its allowance")

// overloaded answers a fetch whose reply there is no memory for.
func overloaded() *protocol.Error { return protocol.ErrorOverloaded(retryOverloaded, errOverdrawn) }

// roomFor says whether there is memory for a reply with these messages.
func (c *call) roomFor(messages []protocol.Message) bool {
	if !c.gw.memory.full() {
		return true
	}
	n := 0
	for i := range messages {
		n += len(messages[i].Body)
	}
	return !c.peer.overdrawn(n)
}

// pressureInterval is how often sessions are looked through for those to close.
const pressureInterval = 250 * time.Millisecond

// pressure is the keepalive's part that keeps the budget from staying used up.
type pressure struct {
	gw *Gateway
	// looked is when sessions were looked through, peaked when much memory was in use, 0 if that was given back.
	looked, peaked int64
	holders        []holder
}

// holder is a session that is slow to take what it holds.
type holder struct {
	sess *session
	held int
}

// relieve closes the sessions that hold most and are slow, while others have to wait, until a quarter of the budget is
// free.
func (p *pressure) relieve(now int64) {
	g := p.gw
	g.admission.admitAll()
	p.giveBack(now)
	used, goal := g.memory.used.Load(), g.memory.max-g.memory.max/4
	waited := g.memory.waiters.Load() > 0 || g.admission.count.Load() > 0 || g.memory.full()
	if used < goal || !waited || now-p.looked < int64(pressureInterval) {
		return
	}
	p.looked = now
	p.findHolders(now)
	for _, h := range p.holders {
		if used < goal {
			break
		}
		used -= int64(h.held)
		g.log.Debug().Stringer("session", h.sess.id).Str("close", protocol.CloseStalled.Name()).Int("bytes", h.held).
			Msg("memory is short, and this session is slow to take what it holds")
		// A close frame could not be sent: the socket is full.
		h.sess.abort()
	}
	clear(p.holders)
}

// findHolders lists the sessions above their allowance whose oldest unsent byte has waited too long, those that hold
// most first.
func (p *pressure) findHolders(now int64) {
	p.holders = p.holders[:0]
	allowance, patience := p.gw.allowance(), int64(p.gw.cfg.PressureTimeout)
	for _, s := range p.gw.openSessions() {
		s.mu.Lock()
		held, since := s.holding(), s.out.unsentSince()
		s.mu.Unlock()
		if held > allowance && since != 0 && now-since > patience {
			p.holders = append(p.holders, holder{s, held})
		}
	}
	slices.SortFunc(p.holders, func(a, b holder) int { return cmp.Compare(b.held, a.held) })
}

// afterPeak is how long after a peak its memory is given back to the system.
const afterPeak = 5 * time.Second

// giveBack returns to the system what a peak has left with the collector, which by itself takes minutes.
func (p *pressure) giveBack(now int64) {
	g := p.gw
	used := g.memory.used.Load() + g.reading.used.Load()
	switch {
	case used > g.cfg.MemoryBudget/4:
		p.peaked = now
	case p.peaked != 0 && now-p.peaked > int64(afterPeak):
		p.peaked = 0
		g.background.Go(debug.FreeOSMemory)
	}
}

// unsentSince is the clock when the oldest byte that the socket has not taken was queued, 0 if there is none.
func (o *outbound) unsentSince() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.writing && o.batchSince != 0:
		return o.batchSince
	case o.replies != nil:
		return o.repliesSince
	}
	return 0
}

// checkProgress closes a session that is slow with a large frame while others wait for the memory that it holds. Only
// the keepalive calls it.
func (s *session) checkProgress(now int64) {
	k, got := &s.keep, s.frameGot.Load()
	switch elapsed := now - k.gotAt; {
	case got == 0:
		k.got, k.gotAt, k.slow = 0, 0, false
		return
	case k.gotAt == 0 || got < k.got:
		k.got, k.gotAt, k.slow = got, now, false
	case elapsed >= int64(time.Second):
		k.slow = (got-k.got)*int64(time.Second) < int64(s.gw.cfg.MinFrameRate)*elapsed
		k.got, k.gotAt = got, now
	}
	if k.slow && s.gw.reading.waiters.Load() > 0 {
		s.gw.log.Debug().Stringer("session", s.id).Str("close", protocol.ClosePolicy.Name()).
			Msg("memory for large frames is short, and this session's makes no progress")
		s.interrupt(protocol.ClosePolicy)
	}
}
