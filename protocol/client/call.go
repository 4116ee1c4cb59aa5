package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Reply is the gateway's answer to a request.
type Reply struct {
	// Status is 200 to 299.
	Status int
	// Body is the reply's body as JSON.
	Body json.RawMessage
}

// Pending is a request on its way.
type Pending struct {
	action  string
	done    chan struct{}
	reply   *Reply
	err     error
	release func()
	// then, if it is set, sees a successful reply before anybody else, on the reader's goroutine.
	then func(*Reply)
}

func newPending(action string) *Pending {
	return &Pending{action: action, done: make(chan struct{}), release: func() {}}
}

// finish sets the outcome; it is called exactly once.
func (p *Pending) finish(reply *Reply, err error) {
	p.reply, p.err = reply, err
	if err == nil && p.then != nil {
		p.then(reply)
	}
	p.release()
	close(p.done)
}

// Done is closed when the outcome is there; Wait does not block then.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait returns the reply, or the error: *Error when the gateway refused, *DisconnectedError when the connection was
// lost, ctx's error when ctx ended first. In the last case the request is not withdrawn; Wait may be called again.
func (p *Pending) Wait(ctx context.Context) (*Reply, error) {
	select {
	case <-p.done:
		return p.reply, p.err
	default:
	}
	select {
	case <-p.done:
		return p.reply, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Start sends a request and returns before its reply. body is encoded as JSON; nil sends none. Requests that one
// goroutine starts reach the gateway in that order. ctx bounds the wait for a connection and for a place among
// Options.MaxInFlight, not the request.
func (c *Client) Start(ctx context.Context, action string, body any) (*Pending, error) {
	encoded, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	return c.start(ctx, request{action: action, body: encoded}, nil)
}

// start is Start for an encoded request. then is Pending.then.
func (c *Client) start(ctx context.Context, r request, then func(*Reply)) (*Pending, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c.inFlight <- struct{}{}:
	case <-c.life.Done():
		return nil, context.Cause(c.life)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := newPending(r.action)
	p.release, p.then = func() { <-c.inFlight }, then
	for {
		l, err := c.current(ctx)
		if err == nil {
			err = c.startOn(ctx, l, p, r)
		}
		if err == nil {
			return p, nil
		}
		lost, ok := errors.AsType[*DisconnectedError](err)
		if !ok || lost.Sent || !c.opts.Reconnect || c.life.Err() != nil {
			p.release()
			return nil, err
		}
	}
}

// startOn sends a request on the connection l. An error means that nothing was sent.
func (c *Client) startOn(ctx context.Context, l *link, p *Pending, r request) error {
	c.mu.Lock()
	c.id++
	id := c.id
	c.mu.Unlock()
	if err := l.add(id, p); err != nil {
		return err
	}
	c.mu.Lock() // a reader that waits for room reads on while a reply is awaited
	c.room.Broadcast()
	c.mu.Unlock()
	select {
	case l.out <- r.appendFrame(nil, id):
		return nil
	case <-l.ctx.Done():
		return c.withdraw(l, id, p, &DisconnectedError{Err: context.Cause(l.ctx)})
	case <-ctx.Done():
		return c.withdraw(l, id, p, ctx.Err())
	}
}

// withdraw undoes add for a request that was not sent. When the connection's end has finished it meanwhile, that
// outcome stands.
func (c *Client) withdraw(l *link, id uint64, p *Pending, err error) error {
	if l.take(id) == nil {
		<-p.done
		return nil
	}
	return err
}

// Call sends a request and waits for its reply: Start and Pending.Wait. It serves actions that have no method here.
func (c *Client) Call(ctx context.Context, action string, body any) (*Reply, error) {
	p, err := c.Start(ctx, action, body)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// call is Call with the reply's body decoded into result, unless that is nil.
func (c *Client) call(ctx context.Context, action string, body, result any) (*Reply, error) {
	reply, err := c.Call(ctx, action, body)
	if err != nil || result == nil {
		return reply, err
	}
	if err := json.Unmarshal(reply.Body, result); err != nil {
		return nil, fmt.Errorf("%s: decode the reply: %w", action, err)
	}
	return reply, nil
}

// frame is what the gateway sends: a reply or a push.
type frame struct {
	// ID is the request's id in a reply, the message's id (a string) in a push of the extended dialect.
	ID      json.RawMessage `json:"id"`
	Headers struct {
		Status int `json:"status"`
	} `json:"headers"`
	Body json.RawMessage `json:"body"`

	MessageType string  `json:"Message_Type"`
	Queue       string  `json:"queue_name"`
	Marker      string  `json:"marker"`
	TTL         seconds `json:"ttl"`
	Age         seconds `json:"age"`
}

// request is what a frame says, but for its id. headers and body are JSON objects, nil for none.
type request struct {
	action        string
	headers, body []byte
}

// appendFrame appends the request's frame. It needs headers only for what differs from the session's defaults, which
// were given with the upgrade request.
func (r request) appendFrame(dst []byte, id uint64) []byte {
	dst = append(dst, `{"action":`...)
	dst = strconv.AppendQuote(dst, r.action)
	dst = append(dst, `,"id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	if r.headers != nil {
		dst = append(dst, `,"headers":`...)
		dst = append(dst, r.headers...)
	}
	if r.body != nil {
		dst = append(dst, `,"body":`...)
		dst = append(dst, r.body...)
	}
	return append(dst, '}')
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}
