package deliver

import (
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// hints collects what the engine is told about queues until its goroutine passes it on. It is bounded by the queues that
// have streams: what is said about others is not kept.
type hints struct {
	ready signal

	mu      sync.Mutex
	queues  map[int64]int             // streams by queue
	keys    map[protocol.QueueKey]int // streams by name
	unbound map[protocol.QueueKey]int // streams whose queue did not exist
	heads   map[int64]int64
	changed map[protocol.QueueKey]bool // true: something about the subscription or the queue
}

func (h *hints) init() {
	h.ready = newSignal()
	h.queues = make(map[int64]int)
	h.keys = make(map[protocol.QueueKey]int)
	h.unbound = make(map[protocol.QueueKey]int)
	h.heads = make(map[int64]int64)
	h.changed = make(map[protocol.QueueKey]bool)
}

// watch counts a stream in (1) or out (-1).
func (h *hints) watch(key protocol.QueueKey, queueID int64, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	count(h.keys, key, n)
	if queueID == 0 {
		count(h.unbound, key, n)
	} else {
		count(h.queues, queueID, n)
	}
}

func count[K comparable](m map[K]int, key K, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

// head notes that a queue has a message of that number. Requires mu.
func (h *hints) head(queueID, head int64) {
	if h.queues[queueID] > 0 && head > h.heads[queueID] {
		h.heads[queueID] = head
		h.ready.set()
	}
}

// change notes that a queue is to be looked at; all says that the subscription may have changed too. Requires mu.
func (h *hints) change(key protocol.QueueKey, all bool) {
	if h.keys[key] > 0 {
		h.changed[key] = h.changed[key] || all
		h.ready.set()
	}
}

// take returns what was collected.
func (h *hints) take() (heads map[int64]int64, changed map[protocol.QueueKey]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	heads, changed = h.heads, h.changed
	h.heads = make(map[int64]int64)
	h.changed = make(map[protocol.QueueKey]bool)
	return heads, changed
}

// Wake hints that a queue has a message number head. Hints may be lost, doubled or late. It does not block.
func (e *Engine) Wake(queueID, head int64) {
	e.hints.mu.Lock()
	defer e.hints.mu.Unlock()
	e.hints.head(queueID, head)
}

// Committed hints at messages that the pool's own store has committed. It does not block and keeps nothing of the batch.
func (e *Engine) Committed(batch []protocol.Committed) {
	h := &e.hints
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.keys) == 0 {
		return
	}
	for i := range batch {
		c := &batch[i]
		h.head(c.QueueID, c.First+int64(len(c.Messages))-1)
		if len(h.unbound) > 0 && h.unbound[c.Queue] > 0 {
			h.change(c.Queue, false)
		}
	}
}

// QueueChanged hints that a queue was made, deleted, purged or given other metadata. It does not block.
func (e *Engine) QueueChanged(key protocol.QueueKey, _ int64) {
	e.hints.mu.Lock()
	defer e.hints.mu.Unlock()
	e.hints.change(key, true)
}

// SubscriptionsChanged hints that subscriptions to a queue were made, changed, confirmed, deleted, or have dead
// deliveries to be sent again. It does not block. Without it, others' changes are noticed within a third of Config.Lease
// and new subscriptions within Config.LeaseInterval.
func (e *Engine) SubscriptionsChanged(key protocol.QueueKey) {
	e.leaseNow.set()
	e.QueueChanged(key, 0)
}

// Reconnected hints that hints may have been lost: all queues are looked at. It does not block.
func (e *Engine) Reconnected() {
	e.leaseNow.set()
	e.renewNow.set()
	e.pollNow.set()
}

// hintLoop passes hints on to the streams that they concern.
func (e *Engine) hintLoop() {
	for {
		select {
		case <-e.taking.Done():
			return
		case <-e.hints.ready:
		}
		heads, changed := e.hints.take()
		e.mu.Lock()
		for id, head := range heads {
			e.newHead(id, head)
		}
		for key, all := range changed {
			for s := range e.byKey[key] {
				s.reread = s.reread || all
				if all {
					e.wakeNow(s)
				} else {
					e.wake(s)
				}
			}
		}
		e.mu.Unlock()
	}
}

// newHead wakes the streams of a queue that are behind its head. Requires mu.
func (e *Engine) newHead(queueID, head int64) {
	for s := range e.byQueue[queueID] {
		s.head = max(s.head, head)
		if s.head > s.cursor && s.state == idle {
			e.wake(s)
		}
	}
}

// unboundEvery is how many polls pass before queues that did not exist are looked for again: QueueChanged tells of most.
const unboundEvery = 12

// pollLoop compares the streams' cursors with the heads of their queues, in case that a hint was lost.
func (e *Engine) pollLoop() {
	ticker := time.NewTicker(e.cfg.PollInterval)
	defer ticker.Stop()
	for n := 0; ; {
		select {
		case <-e.taking.Done():
			return
		case <-ticker.C:
			n++
		case <-e.pollNow:
		}
		e.poll()
		if n >= unboundEvery {
			n = 0
			e.pollUnbound()
		}
	}
}

// poll looks at the heads of all queues with streams that are idle.
func (e *Engine) poll() {
	e.mu.Lock()
	ids := make([]int64, 0, len(e.byQueue))
	for id, streams := range e.byQueue {
		for s := range streams {
			if s.state == idle {
				ids = append(ids, id)
				break
			}
		}
	}
	e.mu.Unlock()
	for len(ids) > 0 && e.taking.Err() == nil {
		n := min(len(ids), e.cfg.LeaseBatch)
		e.pollSome(ids[:n])
		ids = ids[n:]
	}
}

func (e *Engine) pollSome(ids []int64) {
	ctx, cancel := e.query(e.taking)
	defer cancel()
	heads, err := e.backend.Heads(ctx, ids)
	if err != nil {
		e.fault(err, "read the heads of queues")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		head, exists := heads[id]
		if exists {
			e.newHead(id, head)
			continue
		}
		for s := range e.byQueue[id] {
			e.wake(s) // it finds that its queue is gone
		}
	}
}

// pollUnbound has the streams look for their queue that had none.
func (e *Engine) pollUnbound() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.streams {
		if s.queueID == 0 {
			e.wake(s)
		}
	}
}
