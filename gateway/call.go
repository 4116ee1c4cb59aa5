package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/nusku-messaging/nusku/protocol"
)

// call is one frame on its way to its reply. It owns the frame's memory, into which the request's strings point, until
// its reply is in the outbound buffer. Its handler answers it exactly once, by reply, replyThen or fail, from whatever
// goroutine, and does not touch it afterwards: calls are pooled.
type call struct {
	req  protocol.Request
	sess *session

	// The operations of the hot actions, embedded so that these allocate nothing. A handler sets the one that it needs,
	// with the call itself as the Waiter, and finish.
	post  protocol.Post
	claim protocol.ClaimOp
	del   protocol.DeleteOp
	// finish is called from Done, on a goroutine of the store; it must not block.
	finish func(*call)

	job     job
	handler *handler
	frame   *buffer
	// held is the memory that the call holds: its frame and, once it is there, its reply. fetch marks claims and reads.
	held  int
	fetch bool
	// out is the encoded reply behind maxWSHeader spare bytes; the call keeps its memory for the next frame.
	out  protocol.Writer
	then func()

	ctx    context.Context
	cancel context.CancelFunc

	// answered makes sure that a call is answered once.
	answered atomic.Bool
	// phase says how far the store is with telling the call: a reply that is made between Done and Flush leaves the
	// writing to Flush, so that one write carries all replies of a batch.
	phase atomic.Int32
	// serial grows with each use of the pooled call, so that a frame's call can be told from the next one's.
	serial atomic.Uint32
	// refs counts who still uses the call: the reply, and each Done until its Flush.
	refs atomic.Int32
}

// The phases of a call that the store answers.
const (
	phaseNone    int32 = iota
	phaseDone          // Done was called, Flush will be
	phaseFlushed       // Flush was called
)

var callPool = sync.Pool{New: func() any {
	c := new(call)
	c.job.call = c
	return c
}}

// newCall takes a call for one frame of s.
func newCall(s *session, frame *buffer) *call {
	c := callPool.Get().(*call)
	c.sess, c.frame = s, frame
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
	c.sess.out.flush()
	c.release()
}

// queue names the queue that the call is about.
func (c *call) queue() protocol.QueueKey { return c.req.Queue() }

// context returns what a blocking handler passes to the store: it ends with the session, or when the request's time is
// up. Only the call's handler may use it.
func (c *call) context() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithTimeout(c.sess.context(), c.sess.gw.cfg.RequestTimeout)
	}
	return c.ctx
}

// reply answers the call; body writes the value of the reply's "body" and is called before reply returns.
func (c *call) reply(status int, body func(*protocol.Writer)) {
	c.replyThen(status, body, nil)
}

// replyThen is reply, and calls then once the reply is in the session's outbound buffer: whatever then lets go is sent
// after the reply. If the session is gone, then is called all the same.
func (c *call) replyThen(status int, body func(*protocol.Writer), then func()) {
	if !c.beginReply() {
		return
	}
	protocol.AppendReply(&c.out, &c.req, status, body)
	c.then = then
	c.sess.answered(c)
}

// fail answers the call with an error.
func (c *call) fail(e *protocol.Error) {
	if !c.beginReply() {
		return
	}
	protocol.AppendError(&c.out, &c.req, e)
	c.sess.answered(c)
}

// beginReply prepares the call's writer. A second answer to one call is a fault of its handler: it is logged and
// dropped, for the first one stands.
func (c *call) beginReply() bool {
	if c.answered.Swap(true) {
		c.sess.gw.log.Error().Str("action", c.req.ActionName).Msg("call answered twice")
		return false
	}
	c.out.Codec = c.req.Codec
	var spare [maxWSHeader]byte
	c.out.Buf = append(c.out.Buf[:0], spare[:]...)
	return true
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
	if cap(c.frame.b) > maxKept {
		// What was decoded from a large frame may be large, too.
		c.req = protocol.Request{}
	}
	c.frame.free()
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
	c.sess, c.frame, c.finish, c.then, c.handler = nil, nil, nil, nil, nil
	c.held, c.fetch = 0, false
	c.ctx, c.cancel = nil, nil
	c.job = job{call: c}
	c.serial.Add(1)
	c.answered.Store(false)
	c.phase.Store(phaseNone)
	callPool.Put(c)
}
