package gateway

import (
	"errors"
	"fmt"

	"github.com/nusku-messaging/nusku/protocol"
)

// mayWait says whether the call may wait for a message if there is none.
func (c *call) mayWait() bool { return c.req.Fields.Wait > 0 }

// endWait takes the call out of its room, if it still is in one, as it ends.
func (c *call) endWait() {
	if c.mayWait() {
		c.gw.parking.gone(c)
	}
}

// look is one try of a claim that waits. Each has an operation of its own: the store may still have to call Flush of one
// when the next is on its way.
type look struct {
	c  *call
	op protocol.ClaimOp
}

// Done implements protocol.Waiter.
func (l *look) Done() {
	c := l.c
	c.claim.ClaimID, c.claim.Messages, c.claim.QueueID, c.claim.Err = l.op.ClaimID, l.op.Messages, l.op.QueueID, l.op.Err
	c.Done()
}

// Flush implements protocol.Waiter.
func (l *look) Flush() { l.c.Flush() }

// claimWaiting claims for a call that waits until there is something to claim.
func (g *Gateway) claimWaiting(c *call) {
	g.parking.enter(c)
	f := &c.req.Fields
	l := &look{c: c}
	l.op = protocol.ClaimOp{
		Queue: c.key(), Limit: f.Limit, TTL: f.TTL, Grace: f.Grace,
		Deadline: g.clock.at(min(c.due, g.clock.exact()+int64(g.cfg.Handlers.OperationTimeout))), Abandoned: c.abandoned, Waiter: l,
	}
	c.finish = finishClaim
	g.backend.Claim(&l.op)
}

// looked takes what a try of a claim has found. True means that the call waits on and must not be touched any more.
func (p *parking) looked(c *call) bool {
	abandoned := c.state.Load() == callLate || c.peer.ended() || c.refused.Load()
	switch {
	case c.claim.Err != nil && !abandoned:
		p.failed(c)
	case c.claim.Err != nil || len(c.claim.Messages) > 0:
		p.leave(c, true)
	case p.refused(c) != nil:
		c.fail(p.refused(c))
		return true
	default:
		return p.settle(c, c.claim.QueueID)
	}
	return false
}

// refused is why there is no place for the call to wait; nil if there is one. Only the call's handler may ask.
func (p *parking) refused(c *call) *protocol.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.wait.refused
}

// listWaiting lists messages for a call that waits until there are some. parked means that it does, and must not be
// touched any more.
func (g *Gateway) listWaiting(c *call, page protocol.MessagePage) (messages []protocol.Message, parked bool, err error) {
	p := g.parking
	id := p.enter(c)
	if id == 0 {
		// What other gateways tell names the queue by its id, so that has to be known before the look.
		q, err := g.backend.Queue(c.context(), c.key())
		switch {
		case err == nil:
			id = q.ID
			p.learn(c, id)
		case !errors.Is(err, protocol.ErrNoQueue):
			p.failed(c)
			return nil, false, fmt.Errorf("list messages: %w", err)
		}
	}
	messages, err = g.backend.Messages(c.context(), c.key(), page)
	switch {
	case err != nil:
		p.failed(c)
	case len(messages) > 0:
		p.leave(c, false)
	case p.refused(c) != nil:
		return nil, false, p.refused(c)
	default:
		c.dropContext()
		return nil, p.settle(c, id), nil
	}
	return messages, false, err
}

// dropContext ends the context of a handler's turn; the next turn has another one.
func (c *call) dropContext() {
	if c.cancel != nil {
		c.cancel()
	}
	c.ctx, c.cancel = nil, nil
}

// park implements peer. The call keeps its place among the outstanding frames, and its frame's memory.
func (s *session) park(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished || !c.state.CompareAndSwap(callRunning, callWaiting) {
		return false
	}
	s.forget(c)
	s.part(c)
	c.job.admitted = false
	s.fetches--
	s.endFetch(c)
	s.letFetches()
	s.goOn()
	if s.stalled.Load() {
		s.nudge()
	}
	c.shed()
	return true
}

// resume implements peer. The call does not go back to its lane: who waits lets everybody else go first.
func (s *session) resume(c *call) {
	s.mu.Lock()
	s.await(c)
	c.job.admitted = true
	s.fetches++
	s.mu.Unlock()
	s.startFetch(c)
}

// part says that the pipeline need not hold up anything for c any more. Requires mu.
func (s *session) part(c *call) {
	if !c.parted {
		c.parted = true
		s.pipe.finish(&c.job)
	}
}

// shed gives back memory that the call has no use for while it waits.
func (c *call) shed() { c.out.Buf = nil }

// park implements peer. The request gives up its place among those that are carried out.
func (x *exchange) park(c *call) bool {
	x.endFetch(c, 0)
	x.gw.rest.park(x.client, 1)
	x.parked = true
	c.shed()
	// The last thing: from here on the request's goroutine may end the call.
	return c.state.CompareAndSwap(callRunning, callWaiting)
}

// resume implements peer.
func (x *exchange) resume(c *call) {
	x.unpark()
	c.expected = x.gw.rest.expects()
	x.gw.admission.submit(c)
}

// unpark takes the request's place back.
func (x *exchange) unpark() {
	if x.parked {
		x.parked = false
		x.gw.rest.park(x.client, -1)
	}
}
