package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// feed is what the local subscribers of one queue share: the newest frames, and how far the queue is known. It
// is bound to the queue's name. It exists while somebody here subscribes to that name.
type feed struct {
	hub *hub
	key protocol.QueueKey

	// fan and reads are the feed's places in the hub's two work queues, guarded by those.
	fan, reads workState
	// indexed is the id under which the hub knows the feed, guarded by the hub's mutex.
	indexed int64

	mu sync.Mutex
	// queueID is the queue that has the name now, or had it last if gone is set. Ids only grow.
	queueID int64
	gone    bool
	// gen counts the queues that the feed has seen end. A subscriber of an earlier one has to be told.
	gen int
	// lost is the newest number known of the queue that ended last.
	lost int64
	// unobserved says that queueID was not learned from Head, so that it is not known to be observed.
	unobserved bool
	// cursor is the number up to which frames went into the ring.
	cursor int64
	// want is the newest number that somebody told of. Above cursor, the database has to be read.
	want int64
	// verify asks for a read in any case: something changed and nobody said what.
	verify bool
	// recheck asks for a look whether the subscriptions are still there.
	recheck bool
	ring    ring
	// pending are local commits that came before what precedes them, without holes among themselves.
	pending ring
	// members are the subscribers, list the same for walking without the lock, nil when out of date.
	members map[*subscriber]struct{}
	list    []*subscriber
	// laggers wait, in the order of asking, for a page from the database.
	laggers []*subscriber
	// recent are the newest pages, for laggers that are a little behind the one that asked.
	recent []*page
	users  [encodings]int
	dead   bool // nobody subscribes any more and the hub has forgotten the feed
}

func newFeed(h *hub, key protocol.QueueKey, head protocol.Head) *feed {
	return &feed{
		hub: h, key: key, queueID: head.QueueID, cursor: head.Last, want: head.Last,
		members: make(map[*subscriber]struct{}, 1),
	}
}

// join adds a subscriber that has read head. Requires mu.
func (f *feed) join(s *subscriber, head protocol.Head) {
	if head.QueueID > f.queueID {
		f.bind(head.QueueID)
		f.unobserved = false
	}
	s.feed, s.gen, s.cursor = f, f.gen, head.Last
	if head.QueueID < f.queueID || f.gone {
		s.gen-- // its queue ended since it read the head: it is told, like the others
	} else {
		f.want = max(f.want, head.Last)
	}
	f.members[s] = struct{}{}
	f.users[s.enc]++
	f.list = nil
}

// startAt has a subscriber that has just joined begin elsewhere than at the head. Requires mu.
func (f *feed) startAt(s *subscriber, at *startPoint) {
	s.cursor = at.cursor
	if at.ended && s.gen == f.gen {
		s.gen-- // it is told of the end, and goes on with the queue that has the name now
	}
}

// replace puts s, which has just joined, into the place of another subscriber of its session. Requires mu.
func (f *feed) replace(before, s *subscriber) {
	if _, ok := f.members[before]; !ok {
		return
	}
	if before.gen == s.gen {
		s.cursor = before.cursor
	}
	f.leave(before)
	before.closed = true
}

// leave removes a subscriber. Requires mu.
func (f *feed) leave(s *subscriber) {
	if _, ok := f.members[s]; !ok {
		return
	}
	delete(f.members, s)
	f.users[s.enc]--
	f.list = nil
	s.setPage(nil)
	if s.lagging {
		f.laggers = slices.DeleteFunc(f.laggers, func(l *subscriber) bool { return l == s })
		s.lagging = false
	}
}

// end notes that the queue is gone. Requires mu.
func (f *feed) end() {
	f.lost = max(f.cursor, f.want)
	f.gone = true
	f.gen++
	f.cursor, f.want, f.verify = 0, 0, false
	f.forget()
	for _, s := range f.laggers {
		s.lagging = false
	}
	f.laggers = nil
}

// bind makes the feed follow the queue that has its name now, from its beginning. Requires mu.
func (f *feed) bind(queueID int64) {
	if !f.gone {
		f.end()
	}
	f.queueID, f.gone, f.unobserved, f.verify = queueID, false, true, true
}

// forget drops all frames. Requires mu.
func (f *feed) forget() {
	f.hub.ringBytes.Add(int64(-f.ring.clear() - f.pending.clear()))
	f.dropRecent(0)
}

// maxRecent is how many pages a feed keeps for laggers to come.
const maxRecent = 4

// dropRecent drops the oldest of the recent pages until n are left. Requires mu.
func (f *feed) dropRecent(n int) {
	for len(f.recent) > n {
		f.hub.pages.release(f.recent[0])
		f.recent = slices.Delete(f.recent, 0, 1)
	}
}

// uses returns the encodings in use. Requires mu.
func (f *feed) uses() (set encodingSet) {
	for e, n := range f.users {
		set[e] = n > 0
	}
	return set
}

// expects says whether a commit to the queue matters, and in which encodings. It binds the feed to a queue that
// was made again.
func (f *feed) expects(c *protocol.Committed) (use encodingSet, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead || c.QueueID < f.queueID || c.QueueID == f.queueID && f.gone {
		return use, false
	}
	if c.QueueID > f.queueID {
		f.bind(c.QueueID)
	}
	return f.uses(), c.First+int64(len(c.Messages))-1 > f.cursor
}

// add takes the chunks of a local commit. It says what is to be done: wake the subscribers, read the database.
func (f *feed) add(queueID int64, chunks []*chunk) (fan, read bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead || f.gone || queueID != f.queueID {
		return false, false
	}
	for _, c := range chunks {
		switch {
		case c.last <= f.cursor:
		case c.first <= f.cursor+1:
			f.append(c)
			fan = true
		default:
			f.postpone(c)
			f.want = max(f.want, c.last)
			read = true
		}
	}
	if fan {
		f.splice()
	}
	f.want = max(f.want, f.cursor)
	return fan, read || f.unobserved
}

// append puts a chunk that follows the cursor into the ring, within its bounds. Requires mu.
func (f *feed) append(c *chunk) {
	f.ring.push(c)
	f.cursor = c.last
	total := f.hub.ringBytes.Add(int64(c.size))
	for len(f.ring.chunks) > 0 && (f.ring.bytes > f.hub.cfg.RingBytes && len(f.ring.chunks) > 1 || total > int64(f.hub.cfg.TotalRingBytes)) {
		total = f.hub.ringBytes.Add(int64(-f.ring.drop()))
	}
}

// postpone keeps a chunk until what precedes it was read. Requires mu.
func (f *feed) postpone(c *chunk) {
	if n := len(f.pending.chunks); n > 0 {
		if newest := f.pending.chunks[n-1]; c.first > newest.last+1 {
			f.hub.ringBytes.Add(int64(-f.pending.clear()))
		}
	}
	f.pending.push(c)
	total := f.hub.ringBytes.Add(int64(c.size))
	for len(f.pending.chunks) > 0 && (f.pending.bytes > f.hub.cfg.RingBytes || total > int64(f.hub.cfg.TotalRingBytes)) {
		total = f.hub.ringBytes.Add(int64(-f.pending.drop()))
	}
}

// splice moves to the ring what was pending and follows the cursor now. Requires mu.
func (f *feed) splice() {
	for len(f.pending.chunks) > 0 {
		c := f.pending.chunks[0]
		if c.last > f.cursor && c.first > f.cursor+1 {
			return
		}
		f.hub.ringBytes.Add(int64(-f.pending.drop()))
		if c.last > f.cursor {
			f.append(c)
		}
	}
}

// hint notes that the queue has a message number head. It says whether the database has to be read.
func (f *feed) hint(queueID, head int64) (read bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead || f.gone || f.queueID != queueID {
		return false
	}
	f.want = max(f.want, head)
	return f.want > f.cursor
}

// age drops frames that were made before the limit: whoever still wants them has fallen behind.
func (f *feed) age(limit time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.ring.chunks) > 0 && f.ring.chunks[0].made.Before(limit) {
		f.hub.ringBytes.Add(int64(-f.ring.drop()))
	}
	for len(f.recent) > 0 && f.recent[0].made.Before(limit) {
		f.dropRecent(len(f.recent) - 1)
	}
}

// fanOut wakes all subscribers.
func (f *feed) fanOut() {
	f.mu.Lock()
	if f.list == nil {
		f.list = make([]*subscriber, 0, len(f.members))
		for s := range f.members {
			f.list = append(f.list, s)
		}
	}
	list := f.list
	f.mu.Unlock()
	for _, s := range list {
		s.wake()
	}
}

// needsRead says whether there is something for a reader to do. Requires mu.
func (f *feed) needsRead() bool {
	return !f.dead && (f.gone || f.verify || f.unobserved || f.recheck || f.want > f.cursor || len(f.laggers) > 0)
}
