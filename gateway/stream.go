package gateway

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// stream is an event stream (Server-Sent Events): the messages of a queue, for clients that cannot open a WebSocket. It
// is a subscriber to the queue's feed like a socket's, with a row as these have; the request's goroutine is its writer.
type stream struct {
	x       *exchange
	control *http.ResponseController
	address netip.Prefix
	subs    sessionSubs
	sub     *subscriber
	// woken has a token when there may be events.
	woken  chan struct{}
	cutOff chan struct{}

	// mu is held while the subscriber is asked for events; dropped says that it must not be any more.
	mu      sync.Mutex
	dropped bool
}

// wake implements pushSink.
func (s *stream) wake(source) {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// drop implements pushSink.
func (s *stream) drop(source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
}

// stream answers a request with a stream that lasts as long as its connection.
func (x *exchange) stream(in *protocol.RESTInput) {
	s := &stream{
		x: x, control: http.NewResponseController(x.w), address: clientAddress(x.r),
		woken: make(chan struct{}, 1), cutOff: make(chan struct{}),
	}
	req := new(protocol.Request)
	fault := x.checkStreamQuery()
	if fault == nil {
		fault = protocol.DecodeREST(protocol.ActionByName(x.route.Action), in, &x.gw.cfg.Limits, req)
	}
	if fault == nil {
		fault = x.gw.streams.enter(s)
	}
	if fault != nil {
		x.fault(fault)
		x.respond()
		return
	}
	defer x.gw.streams.leave(s)
	s.serve(req)
}

// streamParameters are what a stream reads of its query.
var streamParameters = []string{"marker", "client_id", "project_id"}

// checkStreamQuery refuses what a list of messages knows and a stream does not: who asks for it must not believe to get
// it.
func (x *exchange) checkStreamQuery() *protocol.Error {
	for _, name := range slices.Sorted(maps.Keys(x.query)) {
		if !slices.Contains(streamParameters, name) {
			return &protocol.Error{Status: http.StatusBadRequest, Kind: protocol.KindAction, Code: "stream_parameter",
				Exception: "A stream does not take the parameter " + strconv.Quote(name) + ": it takes " +
					strings.Join(streamParameters, ", ") + "."}
		}
	}
	return nil
}

// serve subscribes, and writes until the client or the subscription has gone.
func (s *stream) serve(req *protocol.Request) {
	x := s.x
	if x.r.Method == http.MethodHead {
		s.writeHeader()
		return
	}
	defer func() { x.gw.hub.closeSession(&s.subs) }()
	marker := x.r.Header.Get("Last-Event-ID")
	if marker == "" {
		marker = req.Fields.Marker
	}
	at, err := s.subscribe(queueKeys.stable(req.Queue()), marker)
	if err != nil {
		e, known := faultOf(req, &x.gw.cfg.Limits, err)
		if !known {
			x.gw.log.Error().Err(err).Msg("stream not opened")
		}
		x.fault(e)
		x.respond()
		return
	}
	s.writeHeader()
	if !s.write(appendStart(nil, at, x.gw.cfg.Streams.Retry)) {
		return
	}
	// The connection is read only to see whether the client hangs up, for which there is no deadline.
	_ = s.control.SetReadDeadline(time.Time{})
	s.sub.open()
	s.run()
}

func (s *stream) writeHeader() {
	x := s.x
	x.headers["Content-Type"] = []string{eventStreamType}
	x.headers["Cache-Control"] = []string{"no-store"}
	// Proxies that gather what they pass on would keep events to themselves (nginx).
	x.headers["X-Accel-Buffering"] = []string{"no"}
	x.writeWithin(s.control)
	x.w.WriteHeader(http.StatusOK)
}

// eventStreamType is the media type of streams.
const eventStreamType = "text/event-stream"

// subscribe makes the stream a subscriber that begins behind marker, and returns the marker from which everything will
// come.
func (s *stream) subscribe(key protocol.QueueKey, marker string) (string, error) {
	g, ctx := s.x.gw, s.x.r.Context()
	head, err := g.backend.Head(ctx, key)
	if err != nil {
		return "", err
	}
	from, err := g.startBehind(ctx, key, head, marker)
	if err != nil {
		return "", err
	}
	id := uuid.New()
	sub := &protocol.Subscription{
		ID: id, Queue: key, Subscriber: "sse://" + s.x.r.Host + "/" + id.String(), TTL: g.cfg.Limits.MaxSubscriptionTTL,
		Options: emptyObject, Socket: true,
	}
	if err := g.backend.CreateSubscription(ctx, sub, false); err != nil {
		g.hub.ended.add(id) // it may be there all the same
		return "", err
	}
	s.sub, _ = g.hub.subscribe(subscription{
		id: id, key: key, head: head, ttl: time.Duration(sub.TTL) * time.Second,
		encoding: eventStream, session: &s.subs, sink: s, from: from,
	})
	if s.sub == nil {
		g.hub.ended.add(id)
		return "", protocol.ErrStopping
	}
	if from != nil && from.ended {
		return marker, nil // a client that comes back before it was told of the end is to be told then
	}
	return from.marker(head), nil
}

// run writes events as they come, and comments in between.
func (s *stream) run() {
	g := s.x.gw
	idle := time.NewTicker(g.cfg.Streams.Heartbeat)
	defer idle.Stop()
	for {
		select {
		case <-s.woken:
			if wrote, ok := s.writeEvents(); !ok {
				return
			} else if wrote {
				idle.Reset(g.cfg.Streams.Heartbeat)
			}
		case <-idle.C:
			if !s.write(heartbeat) {
				return
			}
		case <-s.x.r.Context().Done():
			return
		case <-g.streams.ending:
			s.write(appendRetry(nil, retryStopping))
			return
		}
	}
}

// writeEvents writes what there is at once. ok is false when the stream has to end.
func (s *stream) writeEvents() (wrote, ok bool) {
	g := s.x.gw
	for more := true; more; {
		buf := newBuffer(smallestBuffer)
		buf.b, more, ok = s.next(buf.b)
		n := int64(len(buf.b))
		g.memory.add(n)
		wrote = wrote || n > 0
		sent := s.write(buf.b)
		g.memory.add(-n)
		buf.free()
		if !ok || !sent || g.draining.Load() {
			return wrote, ok && sent
		}
	}
	return wrote, true
}

// next takes events; ok is false when these were the last.
func (s *stream) next(dst []byte) (_ []byte, more, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return dst, false, false
	}
	dst, more = s.sub.next(dst, s.x.gw.cfg.Push.ChunkBytes)
	return dst, more, !s.sub.over()
}

// streamPiece is how much of a stream is written under one deadline: a client is slow, not stalled, when it takes that
// much in the write timeout. Bytes.
const streamPiece = 8 << 10

// write writes b, and says whether the client has taken it.
func (s *stream) write(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), streamPiece)
		s.x.writeWithin(s.control)
		select {
		case <-s.cutOff:
			return false
		default:
		}
		if _, err := s.x.w.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
	}
	err := s.control.Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}
