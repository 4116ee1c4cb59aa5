package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// readBody reads the request's body into a pooled buffer, in the time and the memory that there is for it. It returns
// false when it has answered the request instead. What a body takes grows with what has come of it, whatever its header
// announces, and counts as a large frame does that is being read.
func (x *exchange) readBody() (*buffer, bool) {
	limit := x.gw.cfg.Limits.MaxFrameBytes
	if x.r.ContentLength > int64(limit) {
		x.tooLarge(limit)
		return nil, false
	}
	control := http.NewResponseController(x.w)
	// Test servers have no deadlines; the real one does.
	_ = control.SetReadDeadline(time.Now().Add(x.gw.cfg.REST.BodyTimeout))
	ctx, cancel := context.WithTimeout(x.r.Context(), x.gw.cfg.REST.BodyTimeout)
	defer cancel()
	b := bodyReader{x: x, ctx: ctx, buf: newBuffer(int(min(x.r.ContentLength, smallFrame))), limit: limit}
	x.gw.rest.bodies.Add(1)
	defer func() {
		x.gw.rest.bodies.Add(-1)
		x.gw.reading.add(-int64(b.reserved))
	}()
	err := b.read()
	if err != nil {
		// net/http reads what is left of a body before it closes the connection: not at the pace of a slow client.
		_ = control.SetReadDeadline(time.Now())
		b.buf.free()
		x.badBody(err)
		return nil, false
	}
	// From now on the connection is read only to see whether the client hangs up, for which there is no deadline.
	_ = control.SetReadDeadline(time.Time{})
	return b.buf, true
}

// What keeps a body from being read.
var (
	errBodySize   = errors.New("body is too large")
	errBodyMemory = errors.New("no memory for the body")
)

// badBody answers a request whose body was not read.
func (x *exchange) badBody(err error) {
	// Whatever is left of the body must not be taken for the next request.
	x.headers["Connection"] = []string{"close"}
	switch {
	case errors.Is(err, errBodySize):
		x.tooLarge(x.gw.cfg.Limits.MaxFrameBytes)
	case errors.Is(err, errBodyMemory):
		x.fault(protocol.ErrorOverloaded(retryOverloaded, err))
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		x.refuse(http.StatusRequestTimeout, "Request timeout", "The request body did not arrive in time.")
	default:
		x.refuse(http.StatusBadRequest, "Invalid request body", "Request body could not be read.")
	}
}

func (x *exchange) tooLarge(limit int) {
	x.headers["Connection"] = []string{"close"}
	x.refuse(http.StatusRequestEntityTooLarge, "Request body too large", fmt.Sprintf("A request body may have %d bytes at most.", limit))
}

// bodyReader reads a body of at most limit bytes.
type bodyReader struct {
	x     *exchange
	ctx   context.Context
	buf   *buffer
	limit int
	// reserved is what the reading budget counts for the body.
	reserved int
}

func (b *bodyReader) read() error {
	for {
		if len(b.buf.b) == cap(b.buf.b) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		n, err := b.x.r.Body.Read(b.buf.b[len(b.buf.b):cap(b.buf.b)])
		b.buf.b = b.buf.b[:len(b.buf.b)+n]
		switch {
		case len(b.buf.b) > b.limit:
			return errBodySize
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// bodyAllowance is allowance for a body that is being read: the other bodies, which are no requests yet, have one, too.
func (g *Gateway) bodyAllowance() int {
	share := g.cfg.MemoryBudget / 4 / max(1, g.seats.Load()+g.rest.running.Load()+g.rest.bodies.Load())
	return min(g.allowance(), int(max(share, smallFrame)))
}

// grow gives the body more room. One beyond the allowance waits until there is memory for it.
func (b *bodyReader) grow() error {
	g := b.x.gw
	more := min(2*cap(b.buf.b), b.limit+1)
	if cap(b.buf.b) > b.limit {
		return errBodySize
	}
	counts := more > smallFrame
	if counts && b.reserved == 0 {
		switch {
		case g.reading.hasRoom() && g.memory.hasRoom():
		case more <= g.bodyAllowance():
			counts = false
		case !g.memory.room(b.ctx.Done(), nil, nil) || !g.reading.room(b.ctx.Done(), nil, nil):
			return errBodyMemory
		}
	}
	// Bodies that got in while there was room may grow beyond the budget, but not without end.
	if b.reserved > 0 && g.reading.used.Load() > 2*g.reading.max {
		return errBodyMemory
	}
	b.buf = b.buf.grow(more)
	if n := cap(b.buf.b); counts {
		g.reading.add(int64(n - b.reserved))
		b.reserved = n
	}
	return nil
}
