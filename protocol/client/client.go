package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nusku-messaging/nusku/protocol"
)

// Client is a connection to a gateway. Its methods may be called from any number of goroutines.
type Client struct {
	url  string
	opts Options

	// life ends with Close; its cause is then ErrClosed.
	life context.Context
	end  context.CancelCauseFunc
	done chan struct{} // closed once every goroutine has returned

	// inFlight holds a token for each request without a reply.
	inFlight chan struct{}

	mu   sync.Mutex
	link *link         // nil while there is no connection
	up   chan struct{} // closed when link was set, or failed
	err  error         // why the client will never connect again
	id   uint64        // of the newest request
	// authenticate is the last successful authenticate request: a new connection repeats it.
	authenticate request
	// subscriptions by the queue's shown name: that is what a push says.
	subscriptions map[string]*Subscription
	// buffered is the size of what waits in all subscriptions. room is signalled when the reader, which waits while
	// there is too much, has to look again.
	buffered int
	room     *sync.Cond
}

// Dial connects to the gateway at url (ws:// or wss://; any path). ctx bounds the handshake only.
func Dial(ctx context.Context, url string, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	// Not derived from ctx: the client lives until Close, ctx is about the handshake.
	life, end := context.WithCancelCause(context.Background())
	c := &Client{
		url: url, opts: opts, life: life, end: end,
		done:          make(chan struct{}),
		inFlight:      make(chan struct{}, opts.MaxInFlight),
		up:            make(chan struct{}),
		subscriptions: make(map[string]*Subscription),
	}
	c.room = sync.NewCond(&c.mu)
	first, err := c.dial(ctx)
	if err != nil {
		end(err)
		return nil, err
	}
	c.publish(first)
	go c.run(first)
	return c, nil
}

// Close hangs up, fails what is outstanding with ErrClosed and waits for the client's goroutines. It may be called
// more than once.
func (c *Client) Close() error {
	c.end(ErrClosed)
	<-c.done
	return nil
}

// Done is closed when the client has ended: by Close, or because the connection was lost and is not made again.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the client has ended; nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ClientID returns the Client-ID of the requests.
func (c *Client) ClientID() string { return c.opts.ClientID.String() }

// dial makes one connection.
func (c *Client) dial(ctx context.Context) (*link, error) {
	options := &websocket.DialOptions{HTTPClient: c.opts.HTTPClient, HTTPHeader: c.opts.header()}
	if c.opts.Extended {
		options.Subprotocols = []string{Subprotocol}
	}
	ws, response, err := websocket.Dial(ctx, c.url, options)
	if err != nil {
		if response != nil && response.StatusCode != 0 {
			return nil, fmt.Errorf("connect to %s: answered %s: %w", c.url, response.Status, err)
		}
		return nil, fmt.Errorf("connect to %s: %w", c.url, err)
	}
	if c.opts.Extended && ws.Subprotocol() != Subprotocol {
		_ = ws.CloseNow()
		return nil, fmt.Errorf("connect to %s: the server does not speak %s", c.url, Subprotocol)
	}
	ws.SetReadLimit(c.opts.MaxFrame)
	return newLink(c, ws), nil
}

// run keeps the client connected until it ends. It owns every link.
func (c *Client) run(l *link) {
	defer close(c.done)
	schedule := c.opts.Backoff()
	for {
		started := time.Now()
		err := l.run()
		c.lost(l, err)
		if !c.opts.Reconnect || c.life.Err() != nil || isFinal(err) {
			c.finish(err)
			return
		}
		c.opts.OnConnection(false, err)
		if time.Since(started) > 10*time.Second { // else a gateway that accepts and hangs up would be hammered
			schedule = c.opts.Backoff()
		}
		if l = c.redial(schedule); l == nil {
			c.finish(err)
			return
		}
	}
}

// publish makes l the connection that requests use.
func (c *Client) publish(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	close(c.up)
}

// lost takes l out of use and fails what was outstanding on it.
func (c *Client) lost(l *link, err error) {
	c.mu.Lock()
	if c.link == l {
		c.link = nil
		c.up = make(chan struct{})
	}
	c.mu.Unlock()
	l.fail(err)
}

// finish makes err the client's end: it fails every waiting request and ends every subscription.
func (c *Client) finish(err error) {
	if cause := context.Cause(c.life); cause != nil {
		err = cause
	} else {
		err = &DisconnectedError{Err: err}
	}
	c.end(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	close(c.up)
	for _, s := range c.subscriptions {
		s.endLocked(err)
	}
}

// current returns the connection, waiting for one as long as ctx allows.
func (c *Client) current(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, err, up := c.link, c.err, c.up
		slow := c.buffered > slowFactor*c.opts.PushBuffer
		c.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case slow:
			return nil, ErrSlowConsumer
		case l != nil:
			return l, nil
		}
		select {
		case <-up:
		case <-c.life.Done():
			return nil, context.Cause(c.life)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// isFinal says that the gateway hung up in a way that connecting again would only repeat.
func isFinal(err error) bool {
	closed, ok := errors.AsType[websocket.CloseError](err)
	return ok && !protocol.CloseCode(closed.Code).Reconnect()
}
