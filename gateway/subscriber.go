package gateway

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// subscriber is the subscription of a socket or of an event stream: a cursor into a feed. The session's flusher takes frames from it
// through next, as fast as the socket does.
type subscriber struct {
	sourceState // owned by the outbound buffer

	id      uuid.UUID
	sink    pushSink
	session *sessionSubs
	expires time.Time
	// heapIndex is the place among the hub's expiries, guarded by those; -1 when not there.
	heapIndex int
	// opened is set once the reply of subscription_create is on its way: nothing is pushed before.
	opened atomic.Bool

	// feed never changes; its mutex guards the rest.
	feed   *feed
	enc    encoding
	gen    int
	cursor int64
	// ending is the reason with which the subscription ends at the next push.
	ending protocol.GapReason
	closed bool
	// lagging says that the subscriber waits for a page; page is one that it was given.
	lagging bool
	page    *page
}

// open lets pushes begin.
func (s *subscriber) open() {
	s.opened.Store(true)
	s.wake()
}

func (s *subscriber) wake() {
	if s.opened.Load() {
		s.sink.wake(s)
	}
}

// next appends frames to dst, at most about limit bytes but at least one chunk, and says whether there is more at
// once. It implements source.
func (s *subscriber) next(dst []byte, limit int) (out []byte, more bool) {
	var pieces [16][]byte
	s.feed.mu.Lock()
	list, more, read := s.take(pieces[:0], limit)
	ended := s.closed
	s.feed.mu.Unlock()
	for _, p := range list {
		dst = append(dst, p...)
	}
	if read {
		s.feed.hub.readers.add(s.feed)
	}
	if ended {
		s.session.remove(s)
		s.feed.hub.remove(s)
	}
	return dst, more
}

// take moves the cursor over what fits into limit and into list. It says whether more is there at once, and
// whether the database has to be read for it. Requires the feed's mu.
func (s *subscriber) take(list [][]byte, limit int) (_ [][]byte, more, read bool) {
	f := s.feed
	for size := 0; ; {
		if s.closed {
			return list, false, false
		}
		if size >= limit || len(list)+2 > cap(list) {
			return list, true, false
		}
		if s.gen != f.gen || s.ending != "" {
			list = append(list, s.takeEnd())
			continue
		}
		c := s.chunk()
		if c == nil {
			return list, false, s.cursor < f.cursor && s.lag()
		}
		split, data, ok := c.after(s.enc, s.cursor)
		if !ok {
			return list, false, s.lag()
		}
		if split != nil {
			list = append(list, s.gap(*split, protocol.MessageID{Queue: f.queueID, N: split.To}))
		}
		list = append(list, data)
		size += len(data)
		s.cursor = c.last
	}
}

// takeEnd returns the frame that tells of the end of the queue or of the subscription. Requires the feed's mu.
func (s *subscriber) takeEnd() []byte {
	f := s.feed
	gap := protocol.Gap{From: s.cursor + 1, Reason: s.ending}
	if s.gen != f.gen {
		gap.Reason, gap.To = protocol.GapDeleted, s.cursor
		if s.gen == f.gen-1 {
			gap.To = max(s.cursor, f.lost)
		}
		s.gen, s.cursor = f.gen, 0
		s.setPage(nil)
	} else {
		gap.To = max(s.cursor, f.cursor)
		s.closed = true
	}
	// Without a marker: who resumes goes on from what came before, and not behind what did not come.
	return s.gap(gap, protocol.MessageID{})
}

// gap returns the frame or the event of a gap; marker is for the latter. Requires the feed's mu.
func (s *subscriber) gap(gap protocol.Gap, marker protocol.MessageID) []byte {
	if s.enc == eventStream {
		var w protocol.Writer
		protocol.AppendGap(&w, s.feed.key.ShownName(), gap)
		return appendEvent(nil, eventGap, marker, w.Buf)
	}
	return appendGap(nil, s.enc, s.feed.key.ShownName(), gap)
}

// chunk returns the chunk that goes on behind the cursor: from the page that was read for this subscriber, from
// the ring, or from a page that another one has asked for; nil if the database has to be read. Requires the feed's mu.
func (s *subscriber) chunk() *chunk {
	if s.page != nil {
		if chunks := s.page.chunks.Load(); chunks != nil {
			if c := s.in(*chunks); c != nil {
				return c
			}
		}
		s.setPage(nil)
	}
	if s.cursor >= s.feed.cursor {
		return nil
	}
	if c := s.in(s.feed.ring.chunks); c != nil {
		return c
	}
	for _, p := range s.feed.recent {
		if chunks := p.chunks.Load(); chunks != nil {
			if c := s.in(*chunks); c != nil {
				return c
			}
		}
	}
	return nil
}

// in returns the chunk that goes on behind the cursor, if it is among these.
func (s *subscriber) in(chunks []*chunk) *chunk {
	if c := find(chunks, s.cursor); c != nil && c.first <= s.cursor+1 && c.frames[s.enc] != nil {
		return c
	}
	return nil
}

// lag asks for a page from the database, unless that was asked already. Requires the feed's mu.
func (s *subscriber) lag() (read bool) {
	if s.lagging {
		return false
	}
	s.lagging = true
	s.feed.laggers = append(s.feed.laggers, s)
	return true
}

// setPage replaces the subscriber's page. Requires the feed's mu.
func (s *subscriber) setPage(p *page) {
	if s.page != nil {
		s.feed.hub.pages.release(s.page)
	}
	s.page = p
}

// end makes the subscription end with a gap frame of that reason.
func (s *subscriber) end(reason protocol.GapReason) {
	s.feed.mu.Lock()
	if s.ending == "" {
		s.ending = reason
	}
	s.feed.mu.Unlock()
	s.wake()
}

// over says that the subscription has ended and said so.
func (s *subscriber) over() bool {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.closed
}

// missing says why the subscription's row is not there: the database may have found its time up a moment before us.
func (s *subscriber) missing() protocol.GapReason {
	if time.Until(s.expires) < time.Second {
		return protocol.GapSubscriptionExpired
	}
	return protocol.GapSubscriptionEnded
}

// sessionSubs are the socket subscriptions of one session. The zero value is ready. Safe for concurrent use.
type sessionSubs struct {
	mu     sync.Mutex
	closed bool
	subs   map[uuid.UUID]*subscriber
}

// add takes s unless the session is closed or has max subscriptions.
func (l *sessionSubs) add(s *subscriber, max int) (added, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, false
	}
	if len(l.subs) >= max {
		return false, true
	}
	if l.subs == nil {
		l.subs = make(map[uuid.UUID]*subscriber, 1)
	}
	l.subs[s.id] = s
	return true, false
}

func (l *sessionSubs) remove(s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subs, s.id)
}

// to returns the session's subscriber to a queue, nil if there is none.
func (l *sessionSubs) to(key protocol.QueueKey) *subscriber {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.subs {
		if s.feed.key == key {
			return s
		}
	}
	return nil
}

// list returns the session's subscribers.
func (l *sessionSubs) list() []*subscriber {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.subs))
}

// close returns the subscribers, forgets them, and takes no more.
func (l *sessionSubs) close() []*subscriber {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Collect(maps.Values(l.subs))
	l.closed, l.subs = true, nil
	return list
}
