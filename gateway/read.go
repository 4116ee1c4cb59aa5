package gateway

import (
	"context"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/nusku-messaging/nusku/protocol"
)

// closeError ends a session with a close code.
type closeError protocol.CloseCode

func (e closeError) Error() string { return "close session: " + protocol.CloseCode(e).Name() }

// errFinished ends the reading of a session that takes no more frames but was not closed by itself.
var errFinished = errors.New("session takes no more frames")

// run is the session's goroutine.
func (s *session) run() {
	defer s.gw.leave(s)
	err := s.read()
	s.finish()
	s.hangUp(err)
	s.gw.sessionClosed(s)
	s.work.Wait()
}

// read reads frames until the socket fails, the peer closes it, or the session has to be closed. Once a close frame
// was sent, frames are read and dropped until the peer's own close frame.
func (s *session) read() error {
	// Never cancelled: a cancelled context makes the library hang up, and one that can be cancelled costs a third of a
	// frame's time. Deadlines are the connection's.
	ctx := context.Background()
	for {
		s.conn.awaitFrame()
		kind, r, err := s.ws.Reader(ctx)
		if err != nil {
			return err
		}
		s.conn.inMessage = true
		frame, err := s.readFrame(r)
		if err != nil {
			return err
		}
		s.conn.messageRead()
		if err := s.accept(kind, frame); err != nil && !errors.Is(err, errFinished) {
			return err
		}
	}
}

// accept decodes a frame and takes it.
func (s *session) accept(kind websocket.MessageType, frame *buffer) error {
	codec := protocol.MessagePack
	if kind == websocket.MessageText {
		codec = protocol.JSON
		// RFC 6455, section 8.1: text that is not UTF-8 fails the connection.
		if !utf8.Valid(frame.b) {
			frame.free()
			return closeError(protocol.CloseInvalidData)
		}
	}
	c := newCall(s, frame)
	fault := protocol.Decode(frame.b, codec, s.defaults, &s.gw.cfg.Limits, &c.req)
	// Faults of an action are told only to those who may ask for it.
	if fault == nil || fault.Kind == protocol.KindAction {
		if refused := s.gw.refusal(&c.req); refused != nil {
			fault = refused
		}
	}
	if !s.take(c, fault) {
		return errFinished
	}
	return nil
}

// refusal is what a frame is answered whose sender may not ask for its action; nil if it may.
func (g *Gateway) refusal(req *protocol.Request) *protocol.Error {
	if a := req.Action; a != nil && a.Admin && !req.IsAdmin() {
		return protocol.ErrorNotAdmin()
	}
	return g.authorizeFrame(req)
}

// smallFrame is the size up to which a frame that is being read counts as part of its session. Bytes. It is also the
// least that each session may hold.
const smallFrame = 4 << 10

// readFrame reads a message's payload, of all its fragments, into a pooled buffer.
func (s *session) readFrame(r io.Reader) (*buffer, error) {
	if err := s.waitFor(&s.gw.memory, smallFrame); err != nil {
		return nil, err
	}
	buf := newBuffer(min(s.conn.br.Buffered(), inputSize))
	reserved := 0
	defer func() {
		s.gw.reading.add(-int64(reserved))
		s.frameGot.Store(0)
	}()
	limit := s.gw.cfg.Limits.MaxFrameBytes
	for {
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if reserved > 0 {
			s.frameGot.Store(int64(len(buf.b)))
		}
		switch full := len(buf.b) == cap(buf.b); {
		case len(buf.b) > limit:
			err = closeError(protocol.CloseTooBig)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err == nil && full && n == 0:
			// Nothing fits, and a read of nothing found that this is not the end.
			buf, err = s.growFrame(buf, &reserved)
		}
		if err != nil {
			buf.free()
			return nil, err
		}
	}
}

// growFrame gives the frame more room. A frame beyond its session's allowance waits until the gateway has memory for
// it; reserved is what was counted for it.
func (s *session) growFrame(buf *buffer, reserved *int) (*buffer, error) {
	limit := s.gw.cfg.Limits.MaxFrameBytes
	if cap(buf.b) >= limit {
		return buf, closeError(protocol.CloseTooBig)
	}
	reading := &s.gw.reading
	more := min(2*cap(buf.b), limit+1)
	counts := more > smallFrame
	if counts && *reserved == 0 {
		switch {
		case reading.hasRoom() && s.gw.memory.hasRoom():
		case s.affords(more):
			counts = false
		default:
			for _, b := range []*budget{&s.gw.memory, reading} {
				if err := s.waitFor(b, more); err != nil {
					return buf, err
				}
			}
		}
	}
	// Frames that got in while there was room may grow beyond the budget, but not without end.
	if *reserved > 0 && reading.used.Load() > 2*reading.max {
		return buf, closeError(protocol.CloseTryAgainLater)
	}
	buf = buf.grow(more)
	if n := cap(buf.b); counts {
		reading.add(int64(n - *reserved))
		*reserved = n
	}
	return buf, nil
}

// waitFor waits until a budget has room, or n bytes more are within the session's allowance.
func (s *session) waitFor(b *budget, n int) error {
	if b.hasRoom() || s.affords(n) {
		return nil
	}
	s.mu.Lock()
	if s.lighter == nil {
		s.lighter = make(chan struct{}, 1)
	}
	s.mu.Unlock()
	s.out.uncork()
	s.stalled.Store(true)
	s.conn.pauseFrame()
	ok := b.room(s.gone, s.lighter, func() bool { return s.affords(n) })
	s.conn.resumeFrame()
	s.stalled.Store(false)
	s.out.cork()
	if !ok {
		return errFinished
	}
	return nil
}

// finish makes the session take no more frames.
func (s *session) finish() {
	if s.endTaking() {
		s.gw.parking.evict(s)
	}
}

// endTaking is the part of finish under the mutex. It says whether this was the first call.
func (s *session) endTaking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return false
	}
	s.finished = true
	close(s.gone)
	s.changed.Broadcast()
	s.letFetches()
	if s.cancel != nil {
		s.cancel()
	}
	return true
}

// shut closes the session with a code: nothing is taken any more, what is in the outbound buffer goes out, then the
// close frame. The session ends when the peer answers that, or after the close timeout. It does not wait.
func (s *session) shut(code protocol.CloseCode) {
	owed := code == protocol.CloseGoingAway
	if !s.out.close(closeFrame(code), owed) {
		return
	}
	s.finish()
	_ = s.conn.SetReadDeadline(time.Now().Add(s.gw.cfg.CloseTimeout))
}

// interrupt closes the session in the middle of a frame, so that its peer's close frame could not be told from the rest.
func (s *session) interrupt(code protocol.CloseCode) {
	if !s.out.close(closeFrame(code), false) {
		return
	}
	s.finish()
	s.conn.interrupted.Store(true)
	_ = s.conn.SetReadDeadline(time.Now())
}

// abort gives the socket up at once.
func (s *session) abort() {
	s.finish()
	s.out.kill()
}

// hangUp closes the socket after reading ended with err: with a close frame if the fault is the peer's or ours, and
// so that the peer gets to see it.
func (s *session) hangUp(err error) {
	var code closeError
	switch {
	case errors.As(err, &code):
		s.out.close(closeFrame(protocol.CloseCode(code)), false)
	case websocket.CloseStatus(err) == -1 && s.conn.failed == nil && !errors.Is(err, errFinished):
		// The library has found a fault in what the peer sent. For most it has sent a close frame of its own.
		s.out.close(closeFrame(protocol.CloseProtocolError), false)
	}
	s.logEnd(err)
	if websocket.CloseStatus(err) == -1 && (s.conn.failed == nil || s.conn.interrupted.Load()) {
		s.conn.linger()
	}
	_ = s.ws.CloseNow()
	// CloseNow does nothing if the library has hung up already.
	_ = s.conn.Close()
	s.conn.releaseInput()
}

// logEnd says why a session ended that its peer did not close.
func (s *session) logEnd(err error) {
	if websocket.CloseStatus(err) != -1 || errors.Is(err, io.EOF) {
		return
	}
	s.gw.log.Debug().Stringer("session", s.id).Err(err).Msg("session ended")
}

// closeFrame is the whole frame that closes a session with a code.
func closeFrame(code protocol.CloseCode) []byte {
	reason := code.Reason()
	reason = reason[:min(len(reason), maxControlPayload-2)]
	frame := appendWSHeader(nil, opClose, 2+len(reason))
	frame = append(frame, byte(code>>8), byte(code))
	return append(frame, reason...)
}
