package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// session is one WebSocket connection. Its goroutine (run, in read.go) reads frames, decodes them and starts their
// handlers; it returns when the socket is closed, every frame that was taken is answered, and everything that the
// session started has ended.
type session struct {
	id uuid.UUID
	gw *Gateway
	// extended says that the client chose the extended dialect (subprotocol nusku.v1).
	extended bool
	ws       *websocket.Conn
	conn     *conn
	out      outbound
	// defaults are filled into frames that lack these headers. They are set before the session runs, and then by its
	// own goroutine, which runs the handler of authenticate.
	defaults protocol.Defaults
	// subs are the subscriptions that push to this socket.
	subs sessionSubs

	// work counts the goroutines and the unanswered frames of the session.
	work sync.WaitGroup
	// gone is closed when the session takes no more frames.
	gone chan struct{}
	// stalled is set while the session is not read because of a bound.
	stalled atomic.Bool

	mu sync.Mutex
	// changed is told when something ended that the reader may wait for.
	changed sync.Cond
	pipe    pipeline
	// starting is set while somebody starts frames: only one does at a time, so that they start in order.
	starting bool
	// outstanding and heldBytes count the frames that wait for their replies to leave, and their memory and that of
	// their replies; fetches those with large replies among them.
	outstanding int
	heldBytes   int
	fetches     int
	// made counts the bytes of replies that wait for those before them.
	made int
	// fetching holds back the fetches whose replies the session has no room for.
	fetching fetches
	// lighter is told when the session holds less, while its reader waits for the memory of all sessions.
	lighter chan struct{}
	// blocking counts the handlers of the session that run in the gateway's pool or wait there; blocked are the
	// frames that wait for one of these to end.
	blocking int
	blocked  jobList
	// unanswered are the calls that the pipeline has taken and nobody has answered, the oldest first; oldest is when
	// that one arrived, 0 if there is none.
	unanswered callList
	oldest     atomic.Int64
	// draining: the gateway stops, and the session closes once it owes nothing. finished: it takes no more frames.
	draining, finished bool
	// ctx is made when a handler first asks for it.
	ctx    context.Context
	cancel context.CancelFunc

	// keep is the keepalive's part, index the place in the gateway's list, guarded by the gateway's mutex.
	keep liveness
	// frameGot is how much of a large frame has been read, 0 if none is being read.
	frameGot atomic.Int64
	index    int
}

// newSession returns a session that has no connection yet.
func newSession(g *Gateway) *session {
	s := &session{id: uuid.New(), gw: g, gone: make(chan struct{})}
	s.changed.L = &s.mu
	s.conn = &conn{out: &s.out, clock: &g.clock, closeTimeout: g.cfg.CloseTimeout}
	s.conn.lastRead.Store(g.clock.now())
	s.out.sess, s.out.conn = s, s.conn
	return s
}

// context returns the session's context; it ends with the session.
func (s *session) context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		// A session belongs to no request: that of its handshake ended when the handler returned.
		s.ctx, s.cancel = context.WithCancel(context.Background())
		if s.finished {
			s.cancel()
		}
	}
	return s.ctx
}

// ended says whether the session takes no more frames. A handler may ask it as ClaimOp.Abandoned.
func (s *session) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// take takes a decoded frame: it waits until the session has room for it, and starts it if it may start. fault is what
// Decode said. False means that the session takes no more frames.
func (s *session) take(c *call, fault *protocol.Error) bool {
	class := c.req.Class()
	c.fetch = fault == nil && isFetch(&c.req)
	c.due = c.arrived + int64(s.gw.timeout(class)+waits(&c.req))
	c.held = cap(c.input.b)
	c.job.class, c.job.key = class, c.req.Queue()

	s.mu.Lock()
	if !s.wait(func() bool { return s.hasRoom(c) }) {
		s.mu.Unlock()
		c.release()
		return false
	}
	s.hold(c)
	if s.draining && fault == nil {
		fault = errDraining
	}
	if fault != nil {
		s.mu.Unlock()
		c.fail(fault)
		return true
	}
	if h := s.gw.handlerFor(c.req.Action); h.immediate {
		s.mu.Unlock()
		c.handler = h
		c.handle()
		return true
	}
	c.job.admitted = true
	s.await(c)
	start := s.pipe.admit(&c.job)
	if start && s.starting {
		s.pipe.runnable.push(&c.job)
		start = false
	}
	s.starting = s.starting || start
	s.mu.Unlock()
	if start {
		s.start(c)
		s.startRunnable()
	}
	return true
}

// errDraining answers frames that come while the gateway stops.
var errDraining = &protocol.Error{
	Status: 503, Kind: protocol.KindAction, Code: "stopping", Exception: "Gateway is shutting down.",
	Outcome: protocol.OutcomeNothing, RetryAfter: time.Second,
}

// hasRoom says whether the session may take c. One frame always goes, whatever its size, unless the socket does not
// take the replies. Requires mu.
func (s *session) hasRoom(c *call) bool {
	cfg := &s.gw.cfg
	if s.out.pending.Load() >= int64(cfg.MaxReplyBytes) {
		return false
	}
	return s.outstanding == 0 || s.outstanding < cfg.MaxOutstanding &&
		s.heldBytes+c.held <= cfg.MaxOutstandingBytes && (!c.fetch || s.fetches < cfg.MaxFetches)
}

// wait waits until ready says so; false means that the session takes no more frames. Requires mu, which it gives up
// while it waits.
func (s *session) wait(ready func() bool) bool {
	if ready() {
		return !s.finished
	}
	s.mu.Unlock()
	s.out.uncork()
	s.mu.Lock()
	// Set before ready is asked again: who changes something asks it afterwards.
	s.stalled.Store(true)
	for !s.finished && !ready() {
		s.changed.Wait()
	}
	s.stalled.Store(false)
	s.out.cork()
	return !s.finished
}

// room tells a waiting reader that the socket has taken something.
func (s *session) room() {
	if s.stalled.Load() || s.fetching.count.Load() > 0 {
		s.mu.Lock()
		s.nudge()
		s.letFetches()
		s.mu.Unlock()
	}
}

// nudge tells a waiting reader that the session holds less. Requires mu.
func (s *session) nudge() {
	s.changed.Signal()
	select {
	case s.lighter <- struct{}{}:
	default:
	}
}

// hold counts a frame that was taken. Requires mu.
func (s *session) hold(c *call) {
	s.work.Add(1)
	s.outstanding++
	s.heldBytes += c.held
	if c.fetch {
		s.fetches++
	}
	s.gw.memory.add(int64(c.held))
	if c.req.ID == nil {
		s.pipe.expect(&c.job)
	}
}

// start runs the handler of a frame, or has it run. The call may be answered, and gone, when it returns.
func (s *session) start(c *call) {
	if c.state.Load() == callExpired {
		c.skip()
		return
	}
	h := s.gw.handlerFor(c.req.Action).forCall(c)
	c.handler = h
	if c.fetch {
		s.startFetch(c)
		return
	}
	c.proceed()
}

// startRunnable starts the frames that may start until there are none. The caller has set starting.
func (s *session) startRunnable() {
	for {
		s.mu.Lock()
		if s.pipe.runnable.empty() {
			s.starting = false
			s.mu.Unlock()
			return
		}
		j := s.pipe.runnable.pop()
		s.mu.Unlock()
		s.start(j.call)
	}
}

// handle runs the call's handler. One that panics before it has answered is answered with 500, so that a fault that one
// request can provoke does not end everybody's sessions.
func (c *call) handle() {
	if !c.begin() {
		return
	}
	g, serial := c.gw, c.serial.Load()
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		g.log.Error().Str("panic", fmt.Sprint(fault)).Bytes("stack", debug.Stack()).Msg("handler panicked")
		if c.serial.Load() == serial && c.state.Load() != callAnswered {
			c.fail(errPanic)
		}
	}()
	c.handler.run(g, c)
}

var errPanic = &protocol.Error{
	Status: 500, Kind: protocol.KindAction, Code: "internal", Exception: "Internal error.", Outcome: protocol.OutcomeUnknown,
}

// encode implements peer.
func (s *session) encode(c *call, status int, a answer) {
	c.spareHeader()
	protocol.AppendReply(&c.out, &c.req, status, func(w *protocol.Writer) { a.frame(w, c) })
}

// encodeError implements peer.
func (s *session) encodeError(c *call, e *protocol.Error) {
	c.spareHeader()
	protocol.AppendError(&c.out, &c.req, e)
}

// spareHeader empties the call's writer but for the room of a frame's header.
func (c *call) spareHeader() {
	c.out.Codec = c.req.Codec
	var spare [maxWSHeader]byte
	c.out.Buf = append(c.out.Buf[:0], spare[:]...)
}

// flush implements peer.
func (s *session) flush() { s.out.flush() }

// answered implements peer: it takes the encoded reply of c and sends what may leave now. What c held up goes on.
func (s *session) answered(c *call) {
	c.endWait()
	n := len(c.out.Buf)
	s.gw.memory.add(int64(n))
	s.mu.Lock()
	if c.job.admitted && !c.early {
		s.forget(c)
		s.part(c)
	}
	c.held += n
	s.heldBytes += n
	s.made += n
	s.fetched(c, n)
	leaving := s.pipe.answer(&c.job)
	for j := leaving; j != nil; j = j.nextReply {
		s.emit(j.call)
	}
	s.letFetches()
	s.goOn()
	// Asked only now that the reply is in the buffer: if Flush is still to come, it will find it.
	flush := c.phase.Load() != phaseDone
	if s.stalled.Load() {
		s.nudge()
	}
	owesNothing := s.draining && s.outstanding == 0
	s.mu.Unlock()
	s.left(leaving, flush)
	if owesNothing {
		s.shut(protocol.CloseGoingAway)
	}
}

// goOn starts the frames that may start, unless somebody does. Requires mu, and a frame that is counted in work, so that
// nobody has seen that end yet.
func (s *session) goOn() {
	if !s.pipe.runnable.empty() && !s.starting {
		s.starting = true
		s.work.Go(s.startRunnable)
	}
}

// emit puts a reply into the outbound buffer. Requires mu, which keeps replies in order.
func (s *session) emit(c *call) {
	s.outstanding--
	s.heldBytes -= c.held
	s.made -= len(c.out.Buf)
	if c.fetch {
		s.fetches--
	}
	frame := sealWSFrame(c.out.Buf, c.opcode())
	s.gw.memory.add(int64(len(frame) - c.held))
	s.out.reply(&c.out, frame)
}

// left does what is to be done once replies are in the outbound buffer.
func (s *session) left(leaving *job, flush bool) {
	n := 0
	for j := leaving; j != nil; n++ {
		c, next := j.call, j.nextReply
		if then := c.then; then != nil {
			then()
		}
		c.release()
		j = next
	}
	if flush && n > 0 {
		s.out.flush()
	}
	for range n {
		s.work.Done()
	}
}
