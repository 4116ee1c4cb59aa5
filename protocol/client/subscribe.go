package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of events.
const (
	// Pushed: a message.
	Pushed EventKind = iota + 1
	// Gapped: messages that will never come; Gap says why.
	Gapped
	// Resumed: the connection was lost and the subscription made again. Messages that were posted in between are not
	// pushed; they can be listed from the last seen marker on.
	Resumed
)

// Event is something that happened in a queue, in the queue's order.
type Event struct {
	Kind EventKind
	// Body is a message's body as JSON, TTL its time to live.
	Body json.RawMessage
	TTL  time.Duration
	// ID, Marker and Age are set in the extended dialect only. Marker is where a list continues after this message.
	ID     string
	Marker string
	Age    time.Duration
	// Gap is set if Kind is Gapped.
	Gap protocol.Gap
}

// SubscribeOptions configure Subscribe.
type SubscribeOptions struct {
	// TTL is how long the gateway keeps the subscription; its default if zero. When it is over, an event of kind
	// Gapped with a final reason (protocol.GapReason.Final) comes, and nothing after it.
	TTL time.Duration
	// Options is encoded as a JSON object; nil for none.
	Options any
}

// Subscription receives a queue's messages. Its methods may be called concurrently.
type Subscription struct {
	c       *Client
	queue   string
	request request // that made it, to make it again

	// The rest is guarded by c.mu.
	id      string
	created bool
	events  []bufferedEvent
	next    int // index of the oldest event
	err     error
	// ready holds a token while there may be something to take, or the end.
	ready chan struct{}
}

// bufferedEvent is an event with the size that it was accounted for.
type bufferedEvent struct {
	Event
	size int
}

// eventOverhead is what an event costs beyond its frame, in bytes.
const eventOverhead = 200

// Subscribe makes the gateway push the messages that are posted to queue from now on. The queue is made if it is
// missing. A client can have one subscription to a queue, and to a topic of that name: ErrSubscribed. The events have to be taken, with Next or
// Events: what waits is bounded for the client as a whole (Options.PushBuffer), so one subscription that nobody reads
// brings all pushes of this client to a halt. If ctx ends before the reply, the gateway may keep the subscription
// until this client's connection ends.
func (c *Client) Subscribe(ctx context.Context, queue string, options SubscribeOptions) (*Subscription, error) {
	body, err := encode(subscriptionBody{queueBody: named(queue), TTL: inSeconds(options.TTL), Options: options.Options})
	if err != nil {
		return nil, fmt.Errorf("subscription_create: %w", err)
	}
	s := &Subscription{c: c, queue: queue, request: request{action: "subscription_create", body: body}, ready: make(chan struct{}, 1)}
	c.mu.Lock()
	if c.subscriptions[shown(queue)] != nil {
		c.mu.Unlock()
		return nil, ErrSubscribed
	}
	c.subscriptions[shown(queue)] = s // before the request: the first push may follow the reply at once
	c.mu.Unlock()
	if err := c.create(ctx, s); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.dropLocked(err)
		return nil, err
	}
	return s, nil
}

// create sends the request of s and waits for the reply. s counts as made from the reader's goroutine on, so that a
// connection that is lost right after the reply cannot forget it.
func (c *Client) create(ctx context.Context, s *Subscription) error {
	p, err := c.start(ctx, s.request, func(reply *Reply) {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.id, s.created = subscriptionID(reply), true
	})
	if err != nil {
		return err
	}
	_, err = p.Wait(ctx)
	return err
}

// Queue returns the name of the queue.
func (s *Subscription) Queue() string { return s.queue }

// ID returns the gateway's id of the subscription. A new connection changes it.
func (s *Subscription) ID() string {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.id
}

// Next returns the next event, waiting for it as long as ctx allows. After the last event of an ended subscription it
// returns why it ended: ErrUnsubscribed, ErrClosed, a *DisconnectedError, or the *Error that refused it after a new
// connection.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if event, ok, err := s.take(); ok || err != nil {
			return event, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Events returns Next's events until the first error, which it yields last.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			event, err := s.Next(ctx)
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the subscription and discards what was not taken.
func (s *Subscription) Close(ctx context.Context) error {
	s.c.mu.Lock()
	id := s.id
	s.dropLocked(ErrUnsubscribed)
	s.c.mu.Unlock()
	if id == "" {
		return nil
	}
	return s.c.DeleteSubscription(ctx, s.queue, id)
}

// take removes the oldest event; false if there is none.
func (s *Subscription) take() (Event, bool, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.next == len(s.events) {
		if s.err != nil {
			s.signal() // for the next waiter
		}
		return Event{}, false, s.err
	}
	e := s.events[s.next]
	s.events[s.next] = bufferedEvent{}
	s.next++
	if s.next == len(s.events) {
		s.events, s.next = s.events[:0], 0
	} else {
		s.signal() // another goroutine may wait
	}
	s.c.freeLocked(e.size)
	return e.Event, true, nil
}

// signal lets one waiter look again.
func (s *Subscription) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// appendLocked adds an event of size bytes on the wire.
func (s *Subscription) appendLocked(e Event, size int) {
	if s.err != nil {
		return
	}
	size += eventOverhead
	if s.next > 0 && len(s.events) == cap(s.events) { // slide down instead of growing behind a dead head
		n := copy(s.events, s.events[s.next:])
		clear(s.events[n:])
		s.events, s.next = s.events[:n], 0
	}
	s.events = append(s.events, bufferedEvent{e, size})
	s.c.buffered += size
	s.signal()
}

// endLocked makes err the subscription's end, after the events that wait.
func (s *Subscription) endLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	s.signal()
}

// dropLocked ends the subscription and discards what waits.
func (s *Subscription) dropLocked(err error) {
	if s.c.subscriptions[shown(s.queue)] == s {
		delete(s.c.subscriptions, shown(s.queue))
	}
	size := 0
	for _, e := range s.events[s.next:] {
		size += e.size
	}
	s.events, s.next = nil, 0
	s.c.freeLocked(size)
	s.endLocked(err)
}

// freeLocked accounts for events that were taken and lets a reader that waits for room look again.
func (c *Client) freeLocked(size int) {
	c.buffered -= size
	c.room.Broadcast()
}

// push hands a pushed frame of size bytes to its subscription, then waits until reading on is allowed.
func (c *Client) push(l *link, f *frame, size int) {
	event, ok := f.event()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subscriptions[f.Queue]
	if s == nil || !ok {
		return // it was closed while the push was on its way
	}
	s.appendLocked(event, size)
	if event.Kind == Gapped && event.Gap.Reason.Final() {
		delete(c.subscriptions, f.Queue)
		s.endLocked(ErrUnsubscribed)
	}
	c.waitForRoomLocked(l)
}

// waitForRoomLocked holds the reader back while too much waits to be taken. While replies are awaited it lets it go on
// to a higher bound; at that bound the replies are given up, for the goroutine that awaits one may be the only one
// that would ever take events.
func (c *Client) waitForRoomLocked(l *link) {
	for c.buffered > c.opts.PushBuffer && l.ctx.Err() == nil {
		if n := l.outstanding(); n > 0 {
			if c.buffered <= slowFactor*c.opts.PushBuffer {
				return
			}
			l.failSlow()
		}
		l.stalled.Store(true)
		c.room.Wait()
	}
	l.stalled.Store(false)
}

// event decodes a push; false if it is of a kind that this client does not know.
func (f *frame) event() (Event, bool) {
	e := Event{Kind: Pushed, Body: f.Body, TTL: f.TTL.duration(), Marker: f.Marker, Age: f.Age.duration()}
	switch f.MessageType {
	case "Notification":
		_ = json.Unmarshal(f.ID, &e.ID) // absent in Zaqar's dialect
		return e, true
	case "Gap":
		var gap struct {
			From   int64              `json:"from"`
			To     int64              `json:"to"`
			Reason protocol.GapReason `json:"reason"`
		}
		if json.Unmarshal(f.Body, &gap) != nil {
			return e, false
		}
		return Event{Kind: Gapped, Gap: protocol.Gap{From: gap.From, To: gap.To, Reason: gap.Reason}}, true
	}
	return e, false
}
