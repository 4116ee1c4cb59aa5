package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// call is one frame or HTTP request on its way to its answer. It owns the memory of its frame or body, into which the
// request's strings point, until the answer is on its way and its handler is through with it. Its handler answers it
// exactly once, by answer, answerThen or fail, from whatever goroutine, and does not touch it afterwards: calls are
// pooled. A call that takes too long is answered by its peer instead (deadline.go); the handler's own answer is then
// dropped.
type call struct {
	req protocol.Request
	gw  *Gateway
	// peer is who asks: sess or http, of which the other is nil.
	peer peer
	sess *session
	http *exchange

	// The operations of the hot actions, embedded so that these allocate nothing. A handler sets the one that it needs,
	// with the call itself as the Waiter, and finish.
	post  protocol.Post
	claim protocol.ClaimOp
	del   protocol.DeleteOp
	// finish is called from Done, on a goroutine of the store; it must not block.
	finish func(*call)

	job     job
	handler *handler
	input   *buffer
	// held is the memory that the call holds: its frame and, once it is there, its reply. fetch marks claims and reads.
	held  int
	fetch bool
	// expected is what the reply of a fetch is expected to take while it is under way; the peer guards it.
	expected int
	// refused says that there is no memory for the reply of a claim.
	refused atomic.Bool
	// out is the encoded reply behind maxWSHeader spare bytes; the call keeps its memory for the next frame.
	out  protocol.Writer
	then func()

	ctx    context.Context
	cancel context.CancelFunc

	// arrived and due are the gateway's clock when the frame was read and when its time is up.
	arrived, due int64
	// state makes sure that a call is started and answered once.
	state atomic.Int32
	// wait is the call's place among those that wait for a message, nil while it has none; the parking guards it. parted
	// says that it has left its session's pipeline to wait; the session guards it.
	wait   *waiter
	parted bool
	// early says that the session answered in the handler's place, kept what the call then still holds of the session's
	// bounds, and older and newer link the session's unanswered calls. The session's mutex guards them.
	early        bool
	kept         int
	older, newer *call
	// abandoned is isAbandoned, made once because a method value allocates.
	abandoned func() bool

	// phase says how far the store is with telling the call: a reply that is made between Done and Flush leaves the
	// writing to Flush, so that one write carries all replies of a batch.
	phase atomic.Int32
	// serial grows with each use of the pooled call, so that a frame's call can be told from the next one's.
	serial atomic.Uint32
	// refs counts who still uses the call: the reply, each Done until its Flush, and the handler of a call that was
	// answered early.
	refs atomic.Int32
}

// The states of a call.
const (
	callWaiting  int32 = iota // for its turn or for a goroutine
	callRunning               // its handler has begun
	callExpired               // answered by the session before its handler began, which must not begin any more
	callLate                  // answered by the session while its handler runs
	callAnswered              // by its handler, or nothing more will come of it
)

// The phases of a call that the store answers.
const (
	phaseNone    int32 = iota
	phaseDone          // Done was called, Flush will be
	phaseFlushed       // Flush was called
)

var callPool = sync.Pool{New: func() any {
	c := new(call)
	c.job.call = c
	c.abandoned = c.isAbandoned
	return c
}}

// newCall takes a call for one frame of s that has just been read.
func newCall(s *session, frame *buffer) *call {
	c := takeCall(s.gw, s, frame)
	c.sess = s
	return c
}

func takeCall(g *Gateway, p peer, frame *buffer) *call {
	c := callPool.Get().(*call)
	c.gw, c.peer, c.input = g, p, frame
	c.arrived = g.clock.exact()
	c.refs.Store(1)
	return c
}

// Done implements protocol.Waiter.
func (c *call) Done() {
	c.refs.Add(1)
	c.phase.Store(phaseDone)
	c.finish(c)
}

// Flush implements protocol.Waiter.
func (c *call) Flush() {
	// The order matters: a reply that is made from now on flushes itself.
	c.phase.Store(phaseFlushed)
	c.peer.flush()
	c.release()
}

// queue names the queue that the call is about.
func (c *call) queue() protocol.QueueKey { return c.req.Queue() }

// context returns what a blocking handler passes to the store: it ends with the peer, or when the call's time is up. Only the call's handler may use it.
func (c *call) context() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithDeadline(c.peer.context(), c.deadline())
	}
	return c.ctx
}

// deadline is when the call's time is up.
func (c *call) deadline() time.Time { return c.gw.clock.at(c.due) }

// isAbandoned says that nobody waits for the call's result: its peer is gone, or it was answered early; or that there is
// no memory for it.
func (c *call) isAbandoned() bool {
	if c.state.Load() == callLate || c.peer.ended() {
		return true
	}
	if c.peer.overdrawn(leastReply) {
		c.refused.Store(true)
		return true
	}
	return false
}

// answerThen is answer, and calls then once the reply is in the session's outbound buffer: whatever then lets go is sent
// after the reply. If the peer is gone, then is called all the same. It returns false, and then is not called, if the
// call was answered before: the client does not know what was done, and the handler has to undo what would stay.
func (c *call) answerThen(status int, a answer, then func()) bool {
	if !c.beginReply() {
		return false
	}
	c.peer.encode(c, status, a)
	if c.fetch && isRead(&c.req) && c.peer.overdrawn(len(c.out.Buf)) {
		c.peer.encodeError(c, overloaded())
	}
	c.then = then
	c.peer.answered(c)
	return true
}

// fail answers the call with an error.
func (c *call) fail(e *protocol.Error) {
	if !c.beginReply() {
		return
	}
	c.peer.encodeError(c, e)
	c.peer.answered(c)
}

// beginReply takes the handler's answer. The answer to a call that was answered early ends the call, which must not be
// touched then. A second answer of a handler is its fault: it is logged and dropped,
// for the first one stands.
func (c *call) beginReply() bool {
	for {
		switch state := c.state.Load(); state {
		case callWaiting, callRunning:
			if c.state.CompareAndSwap(state, callAnswered) {
				return true
			}
		case callExpired, callLate:
			if c.state.CompareAndSwap(state, callAnswered) {
				c.peer.conclude(c)
				return false
			}
		default:
			c.gw.log.Error().Str("action", c.req.ActionName).Msg("call answered twice")
			return false
		}
	}
}

// opcode is the kind of frame that carries the call's reply.
func (c *call) opcode() byte {
	if c.req.Codec == protocol.MessagePack {
		return opBinary
	}
	return opText
}

// maxKept is how large a buffer of a pooled call may be to be kept with it. Bytes.
const maxKept = 16 << 10

// release gives one reference back and, with the last one, the call to the pool.
func (c *call) release() {
	if c.refs.Add(-1) > 0 {
		return
	}
	if cap(c.input.b) > maxKept {
		// What was decoded from a large frame may be large, too.
		c.req = protocol.Request{}
	}
	c.input.free()
	if c.cancel != nil {
		c.cancel()
	}
	if cap(c.out.Buf) > maxKept {
		c.out.Buf = nil
	}
	clear(c.claim.Messages)
	clear(c.del.ClaimIDs)
	c.post = protocol.Post{IDs: c.post.IDs[:0]}
	c.claim = protocol.ClaimOp{Messages: c.claim.Messages[:0]}
	c.del = protocol.DeleteOp{IDs: c.del.IDs[:0], ClaimIDs: c.del.ClaimIDs[:0]}
	c.gw, c.peer, c.sess, c.http, c.input = nil, nil, nil, nil, nil
	c.finish, c.then, c.handler = nil, nil, nil
	c.wait, c.parted = nil, false
	c.held, c.fetch, c.early, c.kept, c.expected = 0, false, false, 0, 0
	c.refused.Store(false)
	c.ctx, c.cancel = nil, nil
	c.job = job{call: c}
	c.serial.Add(1)
	c.state.Store(callWaiting)
	c.phase.Store(phaseNone)
	callPool.Put(c)
}
