package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is the connection that the WebSocket library is given. It knows what the library does not: what waits for the
// socket, when a frame has begun, and that the library writes nothing but close frames.
//
// Read is called by the session's goroutine alone.
type conn struct {
	net.Conn
	out *outbound
	// closeTimeout is how long the last bytes may take.
	closeTimeout time.Duration
	clock        *clock

	// br is the library's reader over this connection.
	br *bufio.Reader
	// early is what net/http had read behind the handshake; input is what one read of the socket brought, of which
	// the first taken bytes are gone.
	early []byte
	input *buffer
	taken int
	// between is set while no byte of the next frame has come, inMessage while a message's payload is read.
	between, inMessage bool
	// failed is the error with which reading ended; interrupted says that we ended it.
	failed      error
	interrupted atomic.Bool

	// lastRead is the clock when something came, frameSince when the first byte of the current frame did, 0 between
	// frames.
	lastRead, frameSince atomic.Int64

	raw      rawIO
	shutOnce sync.Once
}

// inputSize is how much is read from a socket at a time. The memory is held only until it is worked off, never while
// waiting.
const inputSize = 16 << 10

var errNotClose = errors.New("gateway: the library wrote a frame that is not a close frame")

// Read reads from the socket. Before it waits for input, it writes the replies to what came before.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	if c.input == nil {
		c.out.uncork()
		n, err := c.fill(p)
		if err != nil {
			c.failed = err
			return 0, err
		}
		c.arrived()
		c.out.cork()
		if c.input == nil {
			return n, nil
		}
	}
	n := copy(p, c.input.b[c.taken:])
	if c.taken += n; c.taken == len(c.input.b) {
		c.input.free()
		c.input, c.taken = nil, 0
	}
	return n, nil
}

// fill waits for input and reads it: into p if p is large, else into input.
func (c *conn) fill(p []byte) (int, error) {
	if !c.raw.usable() {
		return c.Conn.Read(p)
	}
	if len(p) >= inputSize {
		return c.raw.read(p)
	}
	buf, err := c.raw.readPooled()
	if err != nil {
		return 0, err
	}
	c.input, c.taken = buf, 0
	return len(buf.b), nil
}

// arrived notes that something came.
func (c *conn) arrived() {
	now := c.clock.now()
	c.lastRead.Store(now)
	if c.between {
		c.between = false
		c.frameSince.Store(now)
	}
}

// buffered says whether input is there that the library has not seen to its end.
func (c *conn) buffered() bool {
	return c.br.Buffered() > 0 || c.input != nil || len(c.early) > 0
}

// awaitFrame is called before the header of a frame is read: the frame's time runs from its first byte.
func (c *conn) awaitFrame() {
	c.inMessage = false
	if c.between = !c.buffered(); c.between {
		c.frameSince.Store(0)
		return
	}
	c.frameSince.Store(c.clock.now())
}

// controlRead is called when the library has read a control frame. Between messages the next frame's time begins;
// within a fragmented message it goes on.
func (c *conn) controlRead() {
	if !c.inMessage {
		c.awaitFrame()
	}
}

// messageRead is called when a message was read to its end.
func (c *conn) messageRead() {
	c.inMessage = false
	c.frameSince.Store(0)
}

// pauseFrame stops a frame's time while the gateway does not read on.
func (c *conn) pauseFrame() { c.frameSince.Store(0) }

// resumeFrame lets a frame's time begin anew.
func (c *conn) resumeFrame() { c.frameSince.Store(c.clock.now()) }

// releaseInput gives back what was read and never looked at. The session's goroutine calls it when it has ended
// reading.
func (c *conn) releaseInput() {
	c.input.free()
	c.input, c.early = nil, nil
}

// Write takes a close frame of the library.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 || p[0] != finBit|opClose {
		return 0, errNotClose
	}
	c.out.close(slices.Clone(p), false)
	return len(p), nil
}

// tryWrite writes what the socket takes at once and returns how much that was. An error is left for the next write to
// find.
func (c *conn) tryWrite(p []byte) int {
	if !c.raw.usable() {
		return 0
	}
	return c.raw.tryWrite(p)
}

// Close sends what is left, as far as the peer takes it in time, and closes the socket.
func (c *conn) Close() error {
	c.shutOnce.Do(func() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.closeTimeout))
		c.out.drain()
		c.out.kill()
	})
	return nil
}

// cut closes the socket at once.
func (c *conn) cut() { _ = c.Conn.Close() }

// linger sends what is left and reads on until the peer hangs up, so that it gets to see the close frame: a socket that
// is closed with unread input is reset, and what was sent is lost.
func (c *conn) linger() {
	_ = c.Conn.SetDeadline(time.Now().Add(c.closeTimeout))
	c.out.drain()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, c.Conn)
	}
}

// rawIO reads and writes a socket without holding memory while it waits, and without waiting. It works on sockets of
// the operating system; others, as TLS or pipes, are not usable this way.
type rawIO struct {
	conn syscall.RawConn
	// The functions are made once; what they work on is in the fields, for a closure per call would be garbage.
	onReadable, onWritable func(fd uintptr) bool

	target   []byte
	pooled   *buffer
	readN    int
	readErr  error
	source   []byte
	writtenN int
}
