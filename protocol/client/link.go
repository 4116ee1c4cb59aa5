package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// link is one connection of a Client.
type link struct {
	c  *Client
	ws *websocket.Conn
	// resumes marks a connection that replaces a lost one: subscriptions are made again before others may use it.
	resumes bool

	// ctx ends when the connection is given up; its cause is the reason.
	ctx  context.Context
	stop context.CancelCauseFunc
	// out are the encoded frames that the writer has not taken yet.
	out chan []byte

	// lastRead is when the newest frame came, in nanoseconds since 1970; stalled says that the reader waits for
	// room in the push buffer, so that no pong can be read.
	lastRead atomic.Int64
	stalled  atomic.Bool

	mu    sync.Mutex
	calls map[uint64]*Pending
	dead  error // set once: no call may be added any more
}

// closeFrameWait is how long the reason of a failed write is looked for in what the gateway has sent.
const closeFrameWait = 500 * time.Millisecond

func newLink(c *Client, ws *websocket.Conn) *link {
	ctx, stop := context.WithCancelCause(c.life)
	return &link{c: c, ws: ws, ctx: ctx, stop: stop, out: make(chan []byte, 64), calls: make(map[uint64]*Pending)}
}

// run serves the connection until it fails or the client ends, and returns the reason.
func (l *link) run() error {
	l.lastRead.Store(time.Now().UnixNano())
	// A reader that waits for room has to notice the end.
	wake := context.AfterFunc(l.ctx, func() {
		l.c.mu.Lock()
		defer l.c.mu.Unlock()
		l.c.room.Broadcast()
	})
	defer wake()

	var g sync.WaitGroup
	g.Go(func() { l.stop(l.read()) })
	g.Go(func() {
		err := l.write()
		// When the gateway has closed the session, writing fails too, but its close frame, which the reader finds, says why.
		sleep(l.ctx, closeFrameWait)
		l.stop(err)
	})
	if l.c.opts.PingInterval > 0 {
		g.Go(func() { l.stop(l.ping()) })
	}
	if l.resumes {
		g.Go(func() {
			if err := l.c.resume(l); err != nil {
				l.stop(fmt.Errorf("subscribe again: %w", err))
			}
		})
	}
	<-l.ctx.Done()
	if errors.Is(context.Cause(l.ctx), ErrClosed) {
		_ = l.ws.Close(websocket.StatusNormalClosure, "")
	}
	_ = l.ws.CloseNow()
	g.Wait()
	return context.Cause(l.ctx)
}

// write sends the frames of out in order.
func (l *link) write() error {
	for {
		select {
		case frame := <-l.out:
			if err := l.ws.Write(l.writeContext(), websocket.MessageText, frame); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

// writeContext is not l.ctx: a cancelled context would tear the connection down before the close frame is sent.
// CloseNow ends a write that hangs.
func (*link) writeContext() context.Context { return context.Background() }

// read hands every frame to its request or its subscription.
func (l *link) read() error {
	for {
		// Not l.ctx, for the reason of writeContext.
		_, payload, err := l.ws.Read(context.Background())
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		l.lastRead.Store(time.Now().UnixNano())
		var f frame
		if err := json.Unmarshal(payload, &f); err != nil {
			return fmt.Errorf("read: not a frame of a gateway: %w", err)
		}
		if f.MessageType != "" {
			l.c.push(l, &f, len(payload))
			continue
		}
		if id, err := strconv.ParseUint(string(f.ID), 10, 64); err == nil {
			l.finish(id, &f)
		}
	}
}

// ping asks for a sign of life when nothing was read for a while.
func (l *link) ping() error {
	interval, timeout := l.c.opts.PingInterval, l.c.opts.PingTimeout
	for {
		silent := time.Duration(time.Now().UnixNano() - l.lastRead.Load())
		if !sleep(l.ctx, max(interval-silent, interval/8)) {
			return context.Cause(l.ctx)
		}
		silent = time.Duration(time.Now().UnixNano() - l.lastRead.Load())
		if silent < interval || l.stalled.Load() {
			continue
		}
		ctx, cancel := context.WithTimeout(l.ctx, timeout)
		err := l.ws.Ping(ctx)
		cancel()
		if err != nil && !l.stalled.Load() {
			return fmt.Errorf("no answer to a ping within %v: %w", timeout, err)
		}
	}
}

// add registers p as the call id.
func (l *link) add(id uint64, p *Pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return l.dead
	}
	l.calls[id] = p
	return nil
}

// take removes the call id; nil if it is not there.
func (l *link) take(id uint64) *Pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.calls[id]
	delete(l.calls, id)
	return p
}

// finish gives the call id its reply.
func (l *link) finish(id uint64, f *frame) {
	p := l.take(id)
	if p == nil {
		return
	}
	if f.Headers.Status >= 400 {
		p.finish(nil, newError(p.action, f.Headers.Status, f.Body))
		return
	}
	p.finish(&Reply{Status: f.Headers.Status, Body: f.Body}, nil)
}

// fail ends every outstanding call: the connection is gone.
func (l *link) fail(err error) {
	if cause := context.Cause(l.c.life); cause != nil {
		err = cause
	}
	l.mu.Lock()
	calls := l.calls
	l.calls, l.dead = nil, &DisconnectedError{Err: err}
	l.mu.Unlock()
	for _, p := range calls {
		if errors.Is(err, ErrClosed) {
			p.finish(nil, err)
		} else {
			p.finish(nil, &DisconnectedError{Sent: true, Err: err})
		}
	}
}

// failSlow ends the outstanding calls without ending the connection: their replies cannot be read.
func (l *link) failSlow() {
	l.mu.Lock()
	calls := l.calls
	l.calls = make(map[uint64]*Pending)
	l.mu.Unlock()
	for _, p := range calls {
		p.finish(nil, ErrSlowConsumer)
	}
}

// outstanding says how many calls wait for a reply.
func (l *link) outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}
