package store

import (
	"context"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimer runs all claims and pops of the gateway. Requests wait in their queue; a few workers take turns with
// the queues, one worker per queue at a time, and each turn serves all requests that wait by then with one
// statement. Everything it owns ends with stop.
type claimer struct {
	s       *Store
	cfg     ClaimConfig
	keys    *claimKeyring
	givings *givings

	stopTicks func()
	wg        sync.WaitGroup

	mu       sync.Mutex
	work     sync.Cond // signals ready and stopping
	queues   map[protocol.QueueKey]*claimQueue
	byID     map[int64]*claimQueue
	ready    []*claimQueue
	waiting  int
	stopping bool
}

// claimWait is a request on its way.
type claimWait struct {
	op *protocol.ClaimOp
	// pop deletes what it claims.
	pop bool
}

// newClaims makes a claimer that does nothing before start.
func newClaims(s *Store) *claimer {
	c := &claimer{
		s: s, cfg: s.cfg.Claims,
		keys:   &claimKeyring{pool: s.pool},
		queues: make(map[protocol.QueueKey]*claimQueue),
		byID:   make(map[int64]*claimQueue),
	}
	c.work.L = &c.mu
	c.givings = newGivings(c)
	return c
}

// start starts the workers. They end by stop, which first finishes what waits; when ctx ends, what waits fails.
func (c *claimer) start(ctx context.Context) {
	for range c.cfg.Workers {
		c.wg.Go(func() { c.runWorker(ctx) })
	}
	ticks, stopTicks := context.WithCancel(ctx)
	c.stopTicks = stopTicks
	c.wg.Go(func() { c.runTicks(ticks) })
	c.givings.start(ctx)
}

// stop refuses new requests, finishes those that wait, and returns when all goroutines are done.
func (c *claimer) stop() {
	c.mu.Lock()
	c.stopping = true
	for _, q := range c.queues {
		if len(q.waiting) > 0 {
			c.readyLocked(q)
		}
	}
	c.work.Broadcast()
	c.mu.Unlock()
	if c.stopTicks != nil {
		c.stopTicks()
	}
	c.wg.Wait()
	c.givings.stop()
}

// submit takes a request; its Waiter is told of the end exactly once, from another goroutine.
func (c *claimer) submit(w claimWait) {
	c.mu.Lock()
	err := c.admitLocked(w)
	c.mu.Unlock()
	if err != nil {
		w.op.Err = err
		finishClaims([]claimWait{w})
	}
}

func (c *claimer) admitLocked(w claimWait) error {
	if c.stopping {
		return protocol.ErrStopping
	}
	if c.waiting >= c.cfg.Waiting {
		return protocol.ErrOverloaded
	}
	q := c.queues[w.op.Queue]
	if q == nil {
		c.makeRoomLocked()
		q = &claimQueue{c: c, key: ownKey(w.op.Queue)}
		q.reset(0)
		c.queues[q.key] = q
	}
	q.waiting = append(q.waiting, w)
	q.used = time.Now()
	c.waiting++
	c.readyLocked(q)
	return nil
}

// readyLocked hands a queue to the workers unless they have it already.
func (c *claimer) readyLocked(q *claimQueue) {
	if q.queued {
		return
	}
	q.queued = true
	if q.running {
		return // its worker puts it back
	}
	c.ready = append(c.ready, q)
	c.work.Signal()
}

// makeRoomLocked forgets a queue at rest when as many are known as may be. Map order makes the choice random;
// forgetting costs that queue one search from its head.
func (c *claimer) makeRoomLocked() {
	if len(c.queues) < c.cfg.Queues {
		return
	}
	looked := 0
	for _, q := range c.queues {
		if q.resting() {
			c.forgetLocked(q)
			return
		}
		// Busy queues are bounded by the waiting requests, so this ends soon.
		if looked++; looked > 64 {
			return
		}
	}
}

func (c *claimer) forgetLocked(q *claimQueue) {
	q.stopTimer()
	delete(c.queues, q.key)
	if c.byID[q.id] == q {
		delete(c.byID, q.id)
	}
}

// runWorker serves one ready queue after another until the claimer stops and nothing waits.
func (c *claimer) runWorker(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.ready) == 0 {
			// A queue that another worker has comes back through that worker.
			if c.stopping {
				return
			}
			c.work.Wait()
		}
		q := c.ready[0]
		c.ready = c.ready[1:]
		q.queued, q.running = false, true
		c.mu.Unlock()
		q.turn(ctx)
		c.mu.Lock()
		q.running = false
		if q.queued {
			c.ready = append(c.ready, q)
			c.work.Signal()
		}
	}
}

// claimTick is how often requests are looked through for passed deadlines.
const claimTick = 100 * time.Millisecond

// runTicks fails requests whose time is up while they wait, also when the database stands still, and forgets
// queues that nobody claims from.
func (c *claimer) runTicks(ctx context.Context) {
	ticker := time.NewTicker(claimTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			finishClaims(c.expire(now))
		}
	}
}

// expire removes the requests whose deadline has passed and returns them, failed.
func (c *claimer) expire(now time.Time) []claimWait {
	c.mu.Lock()
	defer c.mu.Unlock()
	var late []claimWait
	for _, q := range c.queues {
		late = append(late, q.dropLateLocked(now)...)
		if q.resting() && now.Sub(q.used) > c.cfg.Idle {
			c.forgetLocked(q)
		}
	}
	c.waiting -= len(late)
	return late
}

// lower makes the messages of a queue from seq on be searched again: some were given back.
func (c *claimer) lower(queueID, seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.byID[queueID]; q != nil {
		q.floor = min(q.floor, seq-1)
		q.lowered = min(q.lowered, seq-1)
	}
}

// committed has the requests that wait for a search from the head look at what was just posted.
func (c *claimer) committed(batch []protocol.Committed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range batch {
		if q := c.queues[batch[i].Queue]; q != nil && len(q.waiting) > 0 {
			c.readyLocked(q)
		}
	}
}

// finishClaims tells the waiters, whose results are set.
func finishClaims(done []claimWait) {
	var few [16]protocol.Waiter
	waiters := few[:0]
	for _, w := range done {
		waiters = append(waiters, w.op.Waiter) // once it is done, the operation is its owner's again
		w.op.Waiter.Done()
	}
	for _, w := range waiters {
		w.Flush()
	}
}
