package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// hubBackend is what the hub needs of the store.
type hubBackend interface {
	FeedBackend
	Queue(ctx context.Context, key protocol.QueueKey) (*protocol.Queue, error)
	EndSocketSubscriptions(ctx context.Context, ids []uuid.UUID) error
	KnownSubscriptions(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
}

// hub holds the feeds and owns the goroutines that work them: fan-out workers wake subscribers, readers read the
// database for what memory does not hold, and three loops poll, keep house, and delete the rows of subscriptions that
// ended. Frames flow from Committed or a reader into a feed's ring; the sessions' flushers pull them out.
//
// Locks are taken in the order hub, feed, then pages and work queues; none is held across I/O.
type hub struct {
	cfg     PushConfig
	backend hubBackend
	log     zerolog.Logger

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	fan     *workQueue
	readers *workQueue
	pages   pageBudget
	expiry  expiries
	ended   endedRows
	pollNow chan struct{}
	// ringBytes is the memory of all feeds' rings.
	ringBytes atomic.Int64

	mu    sync.RWMutex
	feeds map[protocol.QueueKey]*feed
	byID  map[int64]*feed
	subs  map[uuid.UUID]*subscriber
}

// newHub returns a hub that takes subscribers at once; start makes it work.
func newHub(cfg PushConfig, backend hubBackend, log zerolog.Logger) *hub {
	h := &hub{
		cfg: cfg, backend: backend, log: log,
		fan:     newWorkQueue(func(f *feed) *workState { return &f.fan }),
		readers: newWorkQueue(func(f *feed) *workState { return &f.reads }),
		pages:   pageBudget{limit: cfg.TotalPageBytes},
		pollNow: make(chan struct{}, 1),
		feeds:   make(map[protocol.QueueKey]*feed),
		byID:    make(map[int64]*feed),
		subs:    make(map[uuid.UUID]*subscriber),
	}
	h.ended.wake = make(chan struct{}, 1)
	// The hub's work belongs to no request; stop ends it.
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// start starts the hub's goroutines and returns at once.
func (h *hub) start() {
	for range h.cfg.Workers {
		h.running.Go(func() {
			h.fan.run(func(f *feed) bool { f.fanOut(); return false })
		})
	}
	for range h.cfg.Readers {
		h.running.Go(func() { h.readers.run(h.read) })
	}
	h.running.Go(h.keepHouse)
	h.running.Go(h.pollLoop)
	h.running.Go(h.observeLoop)
	h.running.Go(h.endRowsLoop)
}

// stop ends the hub's goroutines and waits for them. The sessions have to be closed before; the rows of their
// subscriptions are deleted on the way, if the database answers within the query timeout.
func (h *hub) stop() {
	h.cancel()
	h.fan.close()
	h.readers.close()
	h.running.Wait()
}

// subscription is what subscribe needs to know.
type subscription struct {
	id       uuid.UUID
	key      protocol.QueueKey
	head     protocol.Head
	ttl      time.Duration
	encoding encoding
	session  *sessionSubs
	sink     pushSink
	// from is where the subscriber begins, if that is not the head.
	from *startPoint
}

// subscribe registers a subscriber at the head that was read for it. Nothing is pushed until its open is called. It
// returns nil if the session is closed or full.
//
// If the session still has a subscription to that queue, another gateway has deleted its row, which would have kept
// this one from being made. This one then goes on where that one is, so that the socket misses nothing and gets
// nothing twice; unless it says where to begin.
func (h *hub) subscribe(spec subscription) (s *subscriber, full bool) {
	s = &subscriber{
		id: spec.id, sink: spec.sink, session: spec.session, enc: spec.encoding,
		expires: time.Now().Add(spec.ttl), heapIndex: -1,
	}
	before := spec.session.to(spec.key)
	f := h.join(s, &spec, before)
	if before != nil {
		spec.session.remove(before)
		h.remove(before)
	}
	h.expiry.add(s) // before the session can close and remove it
	if added, full := spec.session.add(s, h.cfg.SessionSubscriptions); !added {
		h.remove(s)
		return nil, full
	}
	h.readers.add(f)
	return s, false
}

// join finds or makes the feed and adds s to it, in the place of before if that is set.
func (h *hub) join(s *subscriber, spec *subscription, before *subscriber) *feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[spec.key]
	if f == nil {
		f = newFeed(h, spec.key, spec.head)
		h.feeds[spec.key] = f
	}
	f.mu.Lock()
	f.join(s, spec.head)
	if before != nil {
		f.replace(before, s)
	}
	if spec.from != nil {
		f.startAt(s, spec.from)
	}
	f.mu.Unlock()
	h.indexLocked(f)
	h.subs[s.id] = s
	return f
}

// index makes the feed known under its queue's present id.
func (h *hub) index(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.indexLocked(f)
}

func (h *hub) indexLocked(f *feed) {
	if h.feeds[f.key] != f {
		return
	}
	f.mu.Lock()
	id := f.queueID
	f.mu.Unlock()
	if id != f.indexed {
		delete(h.byID, f.indexed)
		h.byID[id] = f
		f.indexed = id
	}
}

// remove ends a subscriber without a word, and its feed with the last one. It may be called twice.
func (h *hub) remove(s *subscriber) {
	h.expiry.remove(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[s.id] != s {
		return
	}
	delete(h.subs, s.id)
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leave(s)
	s.closed = true
	if len(f.members) == 0 {
		f.dead = true
		f.forget()
		delete(h.feeds, f.key)
		delete(h.byID, f.indexed)
	}
}

// closeSession ends a session's subscriptions and has their rows deleted. Its outbound buffer is closed already.
func (h *hub) closeSession(l *sessionSubs) {
	subs := l.close()
	ids := make([]uuid.UUID, 0, len(subs))
	for _, s := range subs {
		h.remove(s)
		ids = append(ids, s.id)
	}
	h.ended.add(ids...)
}

// setEncoding makes all pushes of a session follow its newest subscription, as on Zaqar.
func (h *hub) setEncoding(l *sessionSubs, enc encoding) {
	for _, s := range l.list() {
		f := s.feed
		f.mu.Lock()
		if _, ok := f.members[s]; ok && s.enc != enc {
			f.users[s.enc]--
			f.users[enc]++
			s.enc = enc
		}
		f.mu.Unlock()
	}
}

// drop ends the subscription of that queue with that id if it is one of a session here. The session that asks is not
// told; another one is, by a gap frame.
func (h *hub) drop(key protocol.QueueKey, id uuid.UUID, by *sessionSubs) {
	h.mu.RLock()
	s := h.subs[id]
	h.mu.RUnlock()
	if s == nil || s.feed.key != key {
		return
	}
	if s.session != by {
		s.end(protocol.GapSubscriptionEnded)
		return
	}
	s.session.remove(s)
	h.remove(s)
	s.sink.drop(s)
}

// dropQueue ends all subscriptions to a queue, as queue_purge does.
func (h *hub) dropQueue(key protocol.QueueKey) {
	f := h.feed(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	for s := range f.members {
		s.ending = protocol.GapSubscriptionEnded
	}
	f.mu.Unlock()
	h.fan.add(f)
}

func (h *hub) feed(key protocol.QueueKey) *feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feeds[key]
}

// allFeeds returns the feeds of this moment.
func (h *hub) allFeeds() []*feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	list := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		list = append(list, f)
	}
	return list
}

// committed takes what a flush of this gateway stored. It encodes what local subscribers need and leaves the rest to
// the workers: it runs on the flusher's goroutine.
func (h *hub) committed(batch []protocol.Committed) {
	for i := range batch {
		c := &batch[i]
		f := h.feed(c.Queue)
		if f == nil {
			continue
		}
		use, ok := f.expects(c)
		if !ok {
			continue
		}
		fan, read := f.add(c.QueueID, h.chunkCommit(c, use))
		if fan {
			h.fan.add(f)
		}
		if read {
			h.readers.add(f)
		}
	}
}

// queueChanged has a feed look at its queue, of which something has changed.
func (h *hub) queueChanged(key protocol.QueueKey) {
	f := h.feed(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	f.verify = !f.gone
	f.mu.Unlock()
	h.readers.add(f)
}

// wakeQueue takes the hint that a queue has a message number head.
func (h *hub) wakeQueue(queueID, head int64) {
	h.mu.RLock()
	f := h.byID[queueID]
	h.mu.RUnlock()
	if f != nil && f.hint(queueID, head) {
		h.readers.add(f)
	}
}

// subscriptionsEnded has a feed look whether its subscriptions are still there.
func (h *hub) subscriptionsEnded(key protocol.QueueKey) {
	f := h.feed(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	f.recheck = true
	f.mu.Unlock()
	h.readers.add(f)
}

// reconnected compares all feeds with the database at once, for hints may have been lost.
func (h *hub) reconnected() {
	select {
	case h.pollNow <- struct{}{}:
	default:
	}
}
