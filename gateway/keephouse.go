package gateway

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// idBatch is how many ids go into one query.
const idBatch = 1000

// pollLoop compares the heads of all feeds with the database, in case that a wake was lost, and takes up again what
// failed.
func (h *hub) pollLoop() {
	ticker := time.NewTicker(h.cfg.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		case <-h.pollNow:
			h.recheckAll()
		}
		h.poll()
	}
}

func (h *hub) poll() {
	byID := make(map[int64]*feed)
	for _, f := range h.allFeeds() {
		f.mu.Lock()
		if !f.gone && !f.dead {
			byID[f.queueID] = f
		}
		stuck := f.needsRead()
		f.mu.Unlock()
		if stuck {
			h.readers.add(f)
		}
	}
	h.inBatches(byID, func(ctx context.Context, ids []int64) error {
		heads, err := h.backend.Heads(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if head, ok := heads[id]; !ok {
				h.queueGone(byID[id], id)
			} else if byID[id].hint(id, head) {
				h.readers.add(byID[id])
			}
		}
		return nil
	})
}

// inBatches calls do with the ids, so many at a time, until it fails.
func (h *hub) inBatches(byID map[int64]*feed, do func(context.Context, []int64) error) {
	ids := make([]int64, 0, min(len(byID), idBatch))
	flush := func() bool {
		ctx, cancel := context.WithTimeout(h.ctx, h.cfg.QueryTimeout)
		defer cancel()
		if err := do(ctx, ids); err != nil {
			if h.ctx.Err() == nil {
				h.log.Warn().Err(err).Int("queues", len(ids)).Msg("feeds not compared with the database; trying again")
			}
			return false
		}
		ids = ids[:0]
		return true
	}
	for id := range byID {
		ids = append(ids, id)
		if len(ids) == idBatch && !flush() {
			return
		}
	}
	if len(ids) > 0 {
		flush()
	}
}

// recheckAll ends the subscriptions that are not there any more, in case that a hint was lost.
func (h *hub) recheckAll() {
	h.mu.RLock()
	subs := slices.Collect(maps.Values(h.subs))
	h.mu.RUnlock()
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.QueryTimeout)
	defer cancel()
	if err := h.endUnknown(ctx, subs); err != nil && h.ctx.Err() == nil {
		h.log.Warn().Err(err).Int("subscriptions", len(subs)).Msg("subscriptions not compared with the database; trying again")
	}
}

// observeLoop renews the note that the queues with subscribers here are observed, and looks whether the subscriptions
// are still there.
func (h *hub) observeLoop() {
	ticker := time.NewTicker(h.cfg.ObserveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		byID := make(map[int64]*feed)
		for _, f := range h.allFeeds() {
			f.mu.Lock()
			if !f.gone && !f.dead {
				byID[f.queueID] = f
			}
			f.mu.Unlock()
		}
		h.inBatches(byID, h.backend.Observe)
		h.recheckAll()
	}
}

// keepHouse ends subscriptions whose time is up and drops frames that are too old. It waits for no database.
func (h *hub) keepHouse() {
	ticker := time.NewTicker(max(h.cfg.RingAge/4, 50*time.Millisecond))
	defer ticker.Stop()
	expire := time.NewTicker(time.Second)
	defer expire.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-ticker.C:
			for _, f := range h.allFeeds() {
				f.age(now.Add(-h.cfg.RingAge))
			}
		case now := <-expire.C:
			for _, s := range h.expiry.due(now) {
				s.end(protocol.GapSubscriptionExpired)
				h.ended.add(s.id)
			}
		}
	}
}

// expiries are subscribers by the time at which their subscription ends. The zero value is ready.
type expiries struct {
	mu   sync.Mutex
	heap expiryHeap
}

func (x *expiries) add(s *subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	heap.Push(&x.heap, s)
}

func (x *expiries) remove(s *subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.heapIndex >= 0 {
		heap.Remove(&x.heap, s.heapIndex)
	}
}

// due takes out those whose time is up.
func (x *expiries) due(now time.Time) (list []*subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.heap) > 0 && !x.heap[0].expires.After(now) {
		list = append(list, heap.Pop(&x.heap).(*subscriber))
	}
	return list
}

// expiryHeap implements heap.Interface.
type expiryHeap []*subscriber

func (x expiryHeap) Len() int           { return len(x) }
func (x expiryHeap) Less(i, j int) bool { return x[i].expires.Before(x[j].expires) }
func (x expiryHeap) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].heapIndex, x[j].heapIndex = i, j
}

func (x *expiryHeap) Push(v any) {
	s := v.(*subscriber)
	s.heapIndex = len(*x)
	*x = append(*x, s)
}

func (x *expiryHeap) Pop() any {
	old := *x
	s := old[len(old)-1]
	old[len(old)-1] = nil
	s.heapIndex = -1
	*x = old[:len(old)-1]
	return s
}

// maxEndedRows bounds the rows that wait to be deleted while the database is away. Beyond it rows are left to their
// TTL and to the gateway's lease.
const maxEndedRows = 200_000

// endedRows are rows of subscriptions that ended, to be deleted many at a time: a statement for each would be
// thousands when a load balancer closes all its sessions.
type endedRows struct {
	wake chan struct{} // has room for one

	mu  sync.Mutex
	ids []uuid.UUID
}

func (e *endedRows) add(ids ...uuid.UUID) {
	if len(ids) == 0 {
		return
	}
	e.mu.Lock()
	if len(e.ids)+len(ids) <= maxEndedRows {
		e.ids = append(e.ids, ids...)
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take takes up to idBatch ids.
func (e *endedRows) take() []uuid.UUID {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.ids), idBatch)
	batch := e.ids[:n:n]
	e.ids = e.ids[n:]
	return batch
}

// endRowsLoop deletes the rows of subscriptions that ended, at last those of the sessions that the gateway's own end
// closed.
func (h *hub) endRowsLoop() {
	for {
		select {
		case <-h.ended.wake:
			if h.endRows(h.ctx) {
				continue
			}
			// The database is away, and endRows has asked to be called again.
			select {
			case <-time.After(h.cfg.PollInterval):
			case <-h.ctx.Done():
			}
		case <-h.ctx.Done():
			// The hub's own context has ended, but the rows are to go before the gateway does.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), h.cfg.QueryTimeout)
			defer cancel()
			h.endRows(ctx)
			return
		}
	}
}

// endRows deletes all rows that wait. It says whether it could.
func (h *hub) endRows(ctx context.Context) bool {
	for {
		ids := h.ended.take()
		if len(ids) == 0 {
			return true
		}
		batch, cancel := context.WithTimeout(ctx, h.cfg.QueryTimeout)
		err := h.backend.EndSocketSubscriptions(batch, ids)
		cancel()
		if err != nil {
			h.ended.add(ids...)
			if h.ctx.Err() == nil {
				h.log.Warn().Err(err).Int("subscriptions", len(ids)).Msg("ended subscriptions not deleted; trying again")
			}
			return false
		}
	}
}
