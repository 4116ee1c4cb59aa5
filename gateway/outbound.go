package gateway

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nusku-messaging/nusku/protocol"
)

// source is a subscription that has frames for one session's socket. It embeds a sourceState.
type source interface {
	// next appends whole WebSocket frames, at most about limit bytes, and says whether there are more at once. It is
	// called by whoever writes to the session's socket, never concurrently for one session, and must not call wake or
	// drop of its own session's outbound for itself while it holds a lock that it takes in next.
	next(dst []byte, limit int) (out []byte, more bool)

	state() *sourceState
}

// sourceState is the part of a source that the outbound buffer owns, guarded by its mutex.
type sourceState struct {
	ready   bool // in the list of ready sources
	dropped bool
}

func (s *sourceState) state() *sourceState { return s }

// outbound is what waits for a session's socket: encoded replies, control frames, and the sources that have pushes.
// Nobody waits for the socket but a goroutine that is started when there is something to write and ends when there is
// nothing left. While the session's reader works through its input it holds the buffer corked, and writes itself what
// has come together before it waits for more input.
//
// The locks are taken in this order: session.mu or pull, then mu.
type outbound struct {
	sess *session
	conn *conn

	// pull is held while a source is asked for frames.
	pull sync.Mutex

	mu      sync.Mutex
	replies *buffer // whole frames
	// repliesSince is the gateway's clock when the oldest of them was queued, batchSince when the oldest byte of what
	// is being written was; pushing is how much of that are no replies.
	repliesSince, batchSince int64
	pushing                  int
	ready                    []source
	// pong is the answer to the newest ping, a whole frame; empty if none is owed. ping says that one is to be sent.
	pong []byte
	ping bool
	// closing is the close frame, once there is one: nothing is taken after it. owed lets each ready source give once
	// more before it is sent.
	closing []byte
	owed    bool
	// sealed says that the close frame was handed to the socket, dead that the socket is gone.
	sealed, dead bool
	corked       bool
	// writing is set while somebody writes; idle, if somebody waits for that, is closed when it ends.
	writing bool
	idle    chan struct{}

	// pending counts the bytes of replies that the socket has not taken yet.
	pending atomic.Int64
	// writeSince is the gateway's clock when the current write began, 0 while there is none.
	writeSince atomic.Int64
}

// maxWrite bounds one call of Write: a socket makes progress when a piece of this size goes out in the write timeout.
const maxWrite = 128 << 10

// pingFrame is a ping without payload.
var pingFrame = []byte{finBit | opPing, 0}

// reply appends a whole frame. It takes the writer's memory when that saves copying a large frame, and leaves it
// other memory. The bytes were charged to the gateway's budget before; what cannot be sent any more is given back.
func (o *outbound) reply(w *protocol.Writer, frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.closing != nil {
		o.sess.gw.memory.add(-int64(len(frame)))
		return
	}
	o.pending.Add(int64(len(frame)))
	if o.replies == nil {
		o.repliesSince = o.sess.gw.clock.now()
		if len(frame) > maxKept {
			o.replies = &buffer{b: frame}
			w.Buf = nil
			return
		}
		o.replies = newBuffer(len(frame))
	}
	o.replies.b = append(o.replies.b, frame...)
}

// wake says that src has frames. It does not block; waking a source that is ready already does nothing.
func (o *outbound) wake(src source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st := src.state()
	if st.ready || st.dropped || o.dead || o.closing != nil {
		return
	}
	st.ready = true
	o.ready = append(o.ready, src)
	o.start()
}

// drop forgets src: once it has returned, src.next is not called again. It waits for a call that is under way, so it
// must not be called by next, nor while holding a lock that next takes.
func (o *outbound) drop(src source) {
	o.mu.Lock()
	st := src.state()
	st.dropped = true
	if st.ready {
		st.ready = false
		o.ready = slices.DeleteFunc(o.ready, func(s source) bool { return s == src })
	}
	o.mu.Unlock()
	// A writer that took src from the list before did so with pull held.
	o.pull.Lock()
	defer o.pull.Unlock()
}

// sendPing makes the session's next write carry a ping.
func (o *outbound) sendPing() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.closing != nil {
		return
	}
	o.ping = true
	o.start()
}

// sendPong answers a ping. Only the newest one is answered, as RFC 6455 (section 5.5.3) allows, so that a flood of
// pings takes no memory.
func (o *outbound) sendPong(payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.closing != nil {
		return
	}
	o.pong = append(appendWSHeader(o.pong[:0], opPong, len(payload)), payload...)
	o.start()
}

// close makes frame, a close frame, the last one that is sent, after what is in the buffer now and, if pushes are owed,
// after what each ready source gives at once. Only the first close counts; it says whether this was the first.
func (o *outbound) close(frame []byte, owed bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.closing != nil {
		return false
	}
	o.closing, o.owed = frame, owed
	o.corked = false
	o.start()
	return true
}

// flush starts writing what is in the buffer.
func (o *outbound) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start()
}

// cork leaves the writing to the session's reader, which calls uncork before it waits for anything.
func (o *outbound) cork() {
	o.mu.Lock()
	o.corked = o.closing == nil
	o.mu.Unlock()
}

// uncork ends cork and writes what is there, as far as the socket takes it without waiting.
func (o *outbound) uncork() {
	o.mu.Lock()
	o.corked = false
	if o.writing || !o.waiting() {
		o.mu.Unlock()
		return
	}
	o.writing = true
	o.mu.Unlock()
	o.workInline()
}

// waiting says whether there is something to write. Requires mu.
func (o *outbound) waiting() bool {
	return !o.dead && !o.sealed &&
		(o.replies != nil || len(o.ready) > 0 || o.ping || len(o.pong) > 0 || o.closing != nil)
}

// start starts a writer unless there is one, or will be. Requires mu.
func (o *outbound) start() {
	if o.writing || o.corked || !o.waiting() {
		return
	}
	o.writing = true
	// Spawned under mu and only while the buffer is not dead, so that the session, which kills it first, can wait.
	o.sess.work.Go(o.writeAll)
}

// writeAll writes until nothing is left. It owns writing.
func (o *outbound) writeAll() {
	for {
		batch, replies := o.collect()
		if batch == nil {
			return
		}
		o.write(batch, replies, 0)
	}
}

// workInline is writeAll for the reader: it hands over to a goroutine when the socket takes no more, for a reader that
// waits to write would stop both directions.
func (o *outbound) workInline() {
	for {
		batch, replies := o.collect()
		if batch == nil {
			return
		}
		o.writeSince.Store(o.sess.gw.clock.now())
		n := o.conn.tryWrite(batch.b)
		if n < len(batch.b) {
			o.sess.work.Go(func() {
				o.write(batch, replies, n)
				o.writeAll()
			})
			return
		}
		o.written(batch, replies)
	}
}

// write writes what is left of batch behind its first n bytes.
func (o *outbound) write(batch *buffer, replies, n int) {
	for n < len(batch.b) {
		o.writeSince.Store(o.sess.gw.clock.now())
		part := batch.b[n:min(len(batch.b), n+maxWrite)]
		if _, err := o.conn.Conn.Write(part); err != nil {
			o.kill()
			break
		}
		n += len(part)
	}
	o.written(batch, replies)
}

// written gives back what a batch held.
func (o *outbound) written(batch *buffer, replies int) {
	o.writeSince.Store(0)
	o.sess.gw.memory.add(-int64(len(batch.b)))
	o.pending.Add(-int64(replies))
	batch.free()
	if replies > 0 {
		o.sess.room()
	}
}

// collect takes what is to be written next: all replies, control frames, and what the sources give in one round. It
// returns nil, and ends the writing, when there is nothing. replies is how much of the batch are replies.
func (o *outbound) collect() (batch *buffer, replies int) {
	o.mu.Lock()
	if !o.waiting() {
		o.stop()
		o.mu.Unlock()
		return nil, 0
	}
	batch, o.replies = o.replies, nil
	o.batchSince = o.repliesSince
	if batch == nil {
		batch = newBuffer(smallestBuffer)
		o.batchSince = o.sess.gw.clock.now()
	}
	replies = len(batch.b)
	if o.ping {
		batch.b = append(batch.b, pingFrame...)
		o.ping = false
	}
	if len(o.pong) > 0 {
		batch.b = append(batch.b, o.pong...)
		o.pong = nil
	}
	sources := len(o.ready)
	if o.closing != nil && !o.owed {
		sources = 0
	}
	o.mu.Unlock()

	if sources > 0 {
		o.collectPushes(batch, sources)
	}
	o.seal(batch, replies)
	o.sess.gw.memory.add(int64(len(batch.b) - replies))
	return batch, replies
}

// seal completes the batch. It ends with the close frame, if there is one; replies that were taken between the batch
// and the close frame go first.
func (o *outbound) seal(batch *buffer, replies int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.pushing = len(batch.b) - replies }()
	if o.closing == nil || o.sealed {
		return
	}
	if o.replies != nil {
		n := len(o.replies.b)
		batch.b = append(batch.b, o.replies.b...)
		o.replies.free()
		o.replies = nil
		// They are part of the batch's other bytes from here on.
		o.pending.Add(-int64(n))
		o.sess.gw.memory.add(-int64(n))
	}
	batch.b = append(batch.b, o.closing...)
	o.sealed = true
}

// minPull is the least that a source is asked for when many share a batch. Bytes.
const minPull = 4 << 10

// collectPushes asks each of the first n ready sources for frames, in turn, up to about one chunk in all. What is not
// asked keeps its place, so that no source starves another, nor the replies, which go between two rounds.
func (o *outbound) collectPushes(batch *buffer, n int) {
	room := o.sess.gw.cfg.Push.ChunkBytes
	share := max(room/n, minPull)
	for ; n > 0 && room > 0; n-- {
		before := len(batch.b)
		if !o.pullOne(batch, min(share, room)) {
			return
		}
		room -= len(batch.b) - before
	}
}

// pullOne asks the first ready source for frames and says whether there was one.
func (o *outbound) pullOne(batch *buffer, limit int) bool {
	o.pull.Lock()
	defer o.pull.Unlock()
	o.mu.Lock()
	if len(o.ready) == 0 {
		o.mu.Unlock()
		return false
	}
	src := o.ready[0]
	last := len(o.ready) - 1
	copy(o.ready, o.ready[1:])
	o.ready[last] = nil
	o.ready = o.ready[:last]
	// A wake from here on is a new one: it may be for what next is just too early to see.
	src.state().ready = false
	o.mu.Unlock()

	var more bool
	batch.b, more = src.next(batch.b, limit)

	o.mu.Lock()
	defer o.mu.Unlock()
	if st := src.state(); more && !st.ready && !st.dropped && !o.dead && o.closing == nil {
		st.ready = true
		o.ready = append(o.ready, src)
	}
	return true
}

// stop ends the writing. Requires mu.
func (o *outbound) stop() {
	o.writing = false
	o.batchSince, o.pushing = 0, 0
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// kill gives up the socket: what waits is dropped, and nothing is taken or started any more.
func (o *outbound) kill() {
	o.mu.Lock()
	if !o.dead && o.replies != nil {
		o.pending.Add(-int64(len(o.replies.b)))
		o.sess.gw.memory.add(-int64(len(o.replies.b)))
		o.replies.free()
	}
	o.dead = true
	o.replies, o.ready, o.pong = nil, nil, nil
	o.mu.Unlock()
	o.conn.cut()
}

// drain writes what is left and returns when that is done or has failed. The caller has given the socket a deadline.
func (o *outbound) drain() {
	o.mu.Lock()
	o.corked = false
	o.start()
	if !o.writing {
		o.mu.Unlock()
		return
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	<-idle
}
