package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// carry makes a call of the request, carries it out and responds. The call is the handler's from begin to its answer;
// the request holds a reference of its own, for it may have to answer in the handler's place.
func (x *exchange) carry(in *protocol.RESTInput, frame *buffer) {
	c := takeCall(x.gw, x, frame)
	c.refs.Add(1)
	defer c.release()
	c.http, x.c, x.body = x, c, &c.out
	fault := protocol.DecodeREST(protocol.ActionByName(x.route.Action), in, &x.gw.cfg.Limits, &c.req)
	if fault == nil {
		x.client, fault = x.gw.rest.enter(x.r)
	}
	if fault != nil {
		x.fault(fault)
		x.respond()
		c.release()
		return
	}
	x.begin(c)
	if !x.await(c) {
		// The handler's part of the call ends with conclude.
		x.respond()
		return
	}
	if (x.ended() || !x.respond()) && x.unsent != nil {
		x.unsent(x.gw, c)
	}
	x.finish(c)
}

// begin starts the call's handler, or has it started.
func (x *exchange) begin(c *call) {
	x.done = make(chan struct{}, 1)
	c.due = c.arrived + int64(x.gw.timeout(c.req.Class())+waits(&c.req))
	x.hold(cap(c.input.b))
	c.handler = x.gw.handlerFor(c.req.Action).forCall(c)
	c.fetch = isFetch(&c.req)
	if c.fetch {
		c.expected = x.gw.rest.expects()
		x.gw.admission.submit(c)
		return
	}
	c.proceed()
}

// await waits for the call's answer. False means that the handler goes on, and that its answer will be dropped: its time
// is up, the gateway is being stopped, or the client is gone. What the client is told then is in the response.
func (x *exchange) await(c *call) bool {
	timer := time.NewTimer(time.Until(c.deadline()))
	defer timer.Stop()
	for {
		now := int64(0)
		select {
		case <-x.done:
			return true
		case <-timer.C:
			now = max(x.gw.clock.exact(), c.due)
			timer.Reset(max(0, time.Until(c.deadline().Add(lateGrace))))
		case <-x.r.Context().Done():
			now = c.due + int64(lateGrace)
		case <-x.gw.rest.cut:
			now = c.due + int64(lateGrace)
		}
		if e := c.giveUp(now); e != nil {
			if c.mayWait() {
				x.gw.parking.abandon(c)
			}
			x.restart()
			x.body = new(protocol.Writer)
			x.fault(e)
			return false
		}
		if now >= c.due+int64(lateGrace) {
			// It is answered at this moment.
			<-x.done
			return true
		}
	}
}

// hold counts n bytes more that the exchange holds.
func (x *exchange) hold(n int) {
	x.held += n
	x.gw.memory.add(int64(n))
}

// finish ends the exchange: what it held is free, and so is its place.
func (x *exchange) finish(c *call) {
	x.unpark()
	x.gw.memory.add(-int64(x.held))
	client := x.client
	c.release()
	x.gw.rest.leave(client)
}

// respond sends the response, and says whether the client has taken it as far as anybody can tell.
func (x *exchange) respond() bool {
	body := x.body.Buf
	if len(body) > 0 {
		if _, set := x.headers["Content-Type"]; !set {
			x.headers["Content-Type"] = []string{"application/json"}
		}
	}
	if len(body) > 0 || x.status != http.StatusNoContent && x.status != http.StatusNotModified {
		x.headers["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	control := http.NewResponseController(x.w)
	x.writeWithin(control)
	x.w.WriteHeader(x.status)
	if x.r.Method == http.MethodHead {
		return true
	}
	for len(body) > 0 {
		n := min(len(body), writePiece)
		x.writeWithin(control)
		if _, err := x.w.Write(body[:n]); err != nil {
			return false
		}
		body = body[n:]
	}
	return true
}

// writePiece is how much of a response is written under one deadline. Bytes.
const writePiece = 64 << 10

// writeWithin sets the time in which the client has to take the next piece: little when memory is short.
func (x *exchange) writeWithin(control *http.ResponseController) {
	timeout := x.gw.cfg.WriteTimeout
	if x.gw.memory.full() {
		timeout = x.gw.cfg.PressureTimeout
	}
	// Test servers have no deadlines; the real one does.
	_ = control.SetWriteDeadline(time.Now().Add(timeout))
}

// context implements peer.
func (x *exchange) context() context.Context { return x.r.Context() }

// ended implements peer.
func (x *exchange) ended() bool { return x.r.Context().Err() != nil }

// overdrawn implements peer.
func (x *exchange) overdrawn(n int) bool {
	return x.gw.memory.full() && x.held+n > x.gw.allowance()
}

// spare implements peer.
func (x *exchange) spare() bool { return x.held+x.c.expected <= x.gw.allowance() }

// encode implements peer.
func (x *exchange) encode(c *call, _ int, a answer) {
	defer func() {
		if fault := recover(); fault != nil {
			x.gw.log.Error().Str("action", c.req.ActionName).Str("panic", fmt.Sprint(fault)).Bytes("stack", debug.Stack()).
				Msg("answer panicked")
			x.encodeError(c, errPanic)
		}
	}()
	c.out.Reset(protocol.JSON, c.out.Buf[:0])
	a.resource(x)
}

// encodeError implements peer.
func (x *exchange) encodeError(_ *call, e *protocol.Error) {
	x.restart()
	x.fault(e)
}

// answered implements peer.
func (x *exchange) answered(c *call) {
	c.endWait()
	n := len(c.out.Buf)
	x.hold(n)
	x.endFetch(c, n)
	if c.then != nil {
		c.then()
	}
	x.done <- struct{}{}
}

// endFetch gives back what was expected of a fetch.
func (x *exchange) endFetch(c *call, size int) {
	if c.expected == 0 {
		return
	}
	if size > 0 {
		x.gw.rest.fetched(size)
	}
	x.gw.admission.release(c.expected)
	c.expected = 0
}

// flush implements peer.
func (x *exchange) flush() {}

// conclude implements peer.
func (x *exchange) conclude(c *call) {
	c.endWait()
	x.endFetch(c, 0)
	x.finish(c)
}
