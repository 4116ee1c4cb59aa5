package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// read brings a feed up to date with the database and serves one page to subscribers that have fallen behind. Only
// one reader does it for a feed at a time. It says whether there is more to read; after an error it does not, for the
// poll comes back to it.
func (h *hub) read(f *feed) (again bool) {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.QueryTimeout)
	defer cancel()
	for _, step := range []func(context.Context, *feed) error{h.recheck, h.follow, h.catchUp, h.serve} {
		if err := step(ctx, f); err != nil {
			h.readFailed(f, err)
			return false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.gone && f.needsRead()
}

// recheck ends the feed's subscriptions that are not there any more, if somebody told of such.
func (h *hub) recheck(ctx context.Context, f *feed) error {
	f.mu.Lock()
	if f.dead || !f.recheck {
		f.mu.Unlock()
		return nil
	}
	f.recheck = false
	subs := slices.Collect(maps.Keys(f.members))
	f.mu.Unlock()
	err := h.endUnknown(ctx, subs)
	if err != nil {
		f.mu.Lock()
		f.recheck = true
		f.mu.Unlock()
	}
	return err
}

// endUnknown ends those of the subscriptions that somebody else has deleted.
func (h *hub) endUnknown(ctx context.Context, subs []*subscriber) error {
	for batch := range slices.Chunk(subs, idBatch) {
		ids := make([]uuid.UUID, len(batch))
		for i, s := range batch {
			ids[i] = s.id
		}
		list, err := h.backend.KnownSubscriptions(ctx, ids)
		if err != nil {
			return err
		}
		known := make(map[uuid.UUID]struct{}, len(list))
		for _, id := range list {
			known[id] = struct{}{}
		}
		for _, s := range batch {
			if _, ok := known[s.id]; !ok {
				s.end(s.missing())
			}
		}
	}
	return nil
}

// follow looks for the queue that has the name of one that is gone, and has a new one observed.
func (h *hub) follow(ctx context.Context, f *feed) error {
	f.mu.Lock()
	gone, last, unobserved := f.gone, f.queueID, f.unobserved
	f.mu.Unlock()
	if gone {
		q, err := h.backend.Queue(ctx, f.key)
		switch {
		case errors.Is(err, protocol.ErrNoQueue):
			return nil
		case err != nil:
			return err
		}
		if q.ID <= last {
			return nil // a stale answer: ids only grow
		}
		f.mu.Lock()
		if q.ID > f.queueID {
			f.bind(q.ID)
		}
		f.mu.Unlock()
		unobserved = true
	}
	if !unobserved {
		return nil
	}
	return h.observeFeed(ctx, f)
}

// observeFeed has the feed's queue observed before it is read for the first time, so that what is consumed from then
// on leaves its trace.
func (h *hub) observeFeed(ctx context.Context, f *feed) error {
	h.index(f)
	f.mu.Lock()
	id := f.queueID
	f.mu.Unlock()
	if err := h.backend.Observe(ctx, []int64{id}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queueID == id {
		f.unobserved = false
	}
	return nil
}

// catchUp reads what lies behind the feed's cursor, if somebody told of it.
func (h *hub) catchUp(ctx context.Context, f *feed) error {
	f.mu.Lock()
	if f.dead || f.gone || !f.verify && f.want <= f.cursor {
		f.mu.Unlock()
		return nil
	}
	id, gen, cursor, want, use := f.queueID, f.gen, f.cursor, f.want, f.uses()
	f.verify = false
	f.mu.Unlock()

	page, err := h.backend.Feed(ctx, f.key, id, cursor, h.cfg.PageRows, h.cfg.PageBytes)
	if errors.Is(err, protocol.ErrNoQueue) {
		h.queueGone(f, id)
		return nil
	}
	if err != nil {
		f.mu.Lock()
		f.verify = true
		f.mu.Unlock()
		return err
	}
	var chunks []*chunk
	complete := page.Upto >= page.Head.Last
	if complete {
		chunks = h.chunkPage(f.key, use, &page, cursor)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead || f.gen != gen {
		return nil
	}
	f.caughtUp(page.Head.Last, want, complete, chunks)
	h.fan.add(f)
	return nil
}

// caughtUp takes the result of a read in which the newest number was head. A feed that is more than a page behind
// goes to the head with an empty ring: its subscribers then lag, each at its own pace, and share the pages that they
// read. Requires mu.
func (f *feed) caughtUp(head, want int64, complete bool, chunks []*chunk) {
	if !complete && head > f.cursor {
		f.hub.ringBytes.Add(int64(-f.ring.clear()))
		f.cursor = head
	}
	for _, c := range chunks {
		if c.last > f.cursor {
			f.append(c)
		}
	}
	f.splice()
	// A hint from before the read that the read did not confirm was wrong. A later one stands.
	if f.want == want {
		f.want = f.cursor
	}
}

// serve reads one page for the subscriber that has waited longest, and gives it to all that it helps.
func (h *hub) serve(ctx context.Context, f *feed) error {
	f.mu.Lock()
	f.dismiss()
	if f.dead || f.gone || len(f.laggers) == 0 {
		f.mu.Unlock()
		return nil
	}
	id, gen, cursor, use := f.queueID, f.gen, f.laggers[0].cursor, encodingSet{}
	for _, s := range f.laggers {
		use[s.enc] = true
	}
	f.mu.Unlock()

	page, err := h.backend.Feed(ctx, f.key, id, cursor, h.cfg.PageRows, h.cfg.PageBytes)
	if errors.Is(err, protocol.ErrNoQueue) {
		h.queueGone(f, id)
		return nil
	}
	if err != nil {
		return err
	}
	if page.Upto <= cursor {
		return errEmptyPage
	}
	chunks := h.chunkPage(f.key, use, &page, cursor)
	for _, s := range f.deal(gen, cursor, page.Upto, chunks) {
		s.wake()
	}
	return nil
}

// dismiss forgets laggers that are behind no more. Requires mu.
func (f *feed) dismiss() {
	f.laggers = slices.DeleteFunc(f.laggers, func(s *subscriber) bool {
		if s.cursor < f.cursor {
			return false
		}
		s.lagging = false
		return true
	})
}

// errEmptyPage says that the database does not know numbers that were committed: it is not the one that we wrote to,
// or a read went to a standby.
var errEmptyPage = errors.New("the database holds less than was committed")

// deal gives a page of the numbers (cursor, upto] to the waiting subscribers that it helps, and returns them.
func (f *feed) deal(gen int, cursor, upto int64, chunks []*chunk) (served []*subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gen != gen {
		return nil
	}
	var kept []*subscriber
	for _, s := range f.laggers {
		if s.gen == gen && s.cursor >= cursor && s.cursor < upto && chunks[0].frames[s.enc] != nil {
			served = append(served, s)
		} else {
			kept = append(kept, s)
		}
	}
	f.laggers = kept
	if len(served) == 0 {
		return nil
	}
	p := f.hub.pages.add(chunks, len(served)+1)
	f.dropRecent(maxRecent - 1)
	f.recent = append(f.recent, p)
	for _, s := range served {
		s.lagging = false
		s.setPage(p)
	}
	return served
}

// queueGone notes that the feed's queue, if it is still id, is gone, and has its subscribers told.
func (h *hub) queueGone(f *feed, id int64) {
	f.mu.Lock()
	if f.queueID == id && !f.gone {
		f.end()
	}
	f.mu.Unlock()
	h.fan.add(f)
	h.readers.add(f)
}

// readFailed logs a failed read.
func (h *hub) readFailed(f *feed, err error) {
	if h.ctx.Err() != nil {
		return
	}
	h.log.Warn().Err(err).Str("project", f.key.Project).Str("queue", f.key.Name).Msg("feed not read; trying again")
}

// page is what was read for subscribers that have fallen behind. chunks is nil once the page was dropped.
type page struct {
	chunks  atomic.Pointer[[]*chunk]
	made    time.Time
	size    int
	holders int // guarded by the pageBudget
	prev    *page
	next    *page
}

// pageBudget bounds the pages that wait for their subscribers. When it is full the oldest page is dropped: that of a
// socket which makes no progress, most likely. Its subscriber asks again when the socket does.
type pageBudget struct {
	limit int

	mu     sync.Mutex
	bytes  int
	oldest *page
	newest *page
}

// add takes a page that so many subscribers hold.
func (b *pageBudget) add(chunks []*chunk, holders int) *page {
	p := &page{holders: holders, made: chunks[0].made}
	for _, c := range chunks {
		p.size += c.size
	}
	p.chunks.Store(&chunks)
	b.mu.Lock()
	defer b.mu.Unlock()
	p.prev = b.newest
	if b.newest != nil {
		b.newest.next = p
	} else {
		b.oldest = p
	}
	b.newest = p
	b.bytes += p.size
	for b.bytes > b.limit && b.oldest != p {
		b.unlink(b.oldest)
	}
	return p
}

// release says that one subscriber is through with p.
func (b *pageBudget) release(p *page) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.holders--
	if p.holders == 0 && p.chunks.Load() != nil {
		b.unlink(p)
	}
}

// unlink drops p. Requires mu.
func (b *pageBudget) unlink(p *page) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		b.oldest = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		b.newest = p.prev
	}
	p.prev, p.next = nil, nil
	p.chunks.Store(nil)
	b.bytes -= p.size
}
