package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimedCounts remembers how many messages are claimed, for counting looks at all that were ever claimed and are
// still there. Of one queue, one count runs at a time, for all who ask meanwhile.
type claimedCounts struct {
	s *Store

	mu     sync.Mutex
	queues map[int64]*claimedCount
}

// claimedCount is what is known of one queue. It is guarded by the mutex of claimedCounts.
type claimedCount struct {
	n     int64
	until time.Time // n is good until then
	// changes counts what may have changed the number through this gateway. A count that began before a change is
	// neither remembered nor shared with those who ask after it.
	changes uint64
	running *countFlight
	next    *countFlight // for those to whom the running one is no good: it follows
	// liveFrom is a number up to which no message is live. It only grows, for nothing comes back to life.
	liveFrom int64
}

// countFlight is one count for all who wait for it. n and err are set when done is closed.
type countFlight struct {
	done    chan struct{}
	changes uint64 // as of its start
	n       int64
	err     error
}

func newClaimedCounts(s *Store) *claimedCounts {
	return &claimedCounts{s: s, queues: make(map[int64]*claimedCount)}
}

// sqlClaimed counts the live claimed messages of queue $1 past number $2. Nothing above claimed_upto was ever claimed.
// The bounds are scalar subqueries so that they become conditions of the index scan.
const sqlClaimed = `
SELECT count(*) FROM message m
WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST(purged_upto, $2::int8) FROM queue_seq WHERE id = $1)
    AND m.seq <= (SELECT max(n.claimed_upto) FROM queue_count n
        WHERE n.queue_id = $1 AND n.epoch = (SELECT purge_epoch FROM queue_seq WHERE id = $1))
    AND m.claim_expires_at > now() AND ` + sqlLive

// claimedSpacing is how many times as long as it took to get a count is used: so counting takes about a twentieth of
// the time at most while nothing changes, and cheap counts are always fresh.
const claimedSpacing = 20

// of returns the number of claimed messages, right but for what other gateways did within StatsClaimedAge.
func (c *claimedCounts) of(ctx context.Context, id int64) (int64, error) {
	c.mu.Lock()
	count := c.getLocked(id)
	if time.Now().Before(count.until) {
		n := count.n
		c.mu.Unlock()
		return n, nil
	}
	flight := c.boardLocked(id, count)
	c.mu.Unlock()
	select {
	case <-flight.done:
		return flight.n, flight.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", protocol.ErrUnavailable, context.Cause(ctx))
	}
}

// boardLocked returns a count that begins, or began, after all changes so far.
func (c *claimedCounts) boardLocked(id int64, count *claimedCount) *countFlight {
	switch {
	case count.running == nil:
		count.running = &countFlight{done: make(chan struct{}), changes: count.changes}
		// In a goroutine of its own, so that a caller who gives up takes nobody else's answer away.
		c.s.wg.Go(func() { c.fly(id, count) })
		return count.running
	case count.running.changes == count.changes:
		return count.running
	case count.next == nil:
		count.next = &countFlight{done: make(chan struct{})}
	}
	return count.next
}

// fly counts until nobody waits for another count.
func (c *claimedCounts) fly(id int64, count *claimedCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for count.running != nil {
		flight, from := count.running, count.liveFrom
		c.mu.Unlock()
		began := time.Now()
		flight.n, flight.err = c.count(id, from)
		took := time.Since(began)
		c.mu.Lock()
		if flight.err == nil && flight.changes == count.changes {
			count.n, count.until = flight.n, began.Add(min(claimedSpacing*took, c.s.cfg.StatsClaimedAge))
		}
		count.running, count.next = count.next, nil
		if count.running != nil {
			count.running.changes = count.changes
		}
		close(flight.done) // last, so that who has the answer and asks again gets another count
	}
}

func (c *claimedCounts) count(id, from int64) (n int64, err error) {
	ctx, cancel := context.WithTimeout(c.s.work, c.s.cfg.StatementTimeout)
	defer cancel()
	err = c.s.pool.QueryRow(ctx, sqlClaimed, id, from).Scan(&n)
	if c.s.work.Err() != nil {
		return 0, protocol.ErrStopping
	}
	return n, c.s.classify(err)
}

// changed says that messages of queues may have been claimed, or claims of theirs have ended. It is called ahead of the
// answer to whoever did so.
func (c *claimedCounts) changed(ids ...int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if count := c.queues[id]; count != nil {
			count.changes++
			count.until = time.Time{}
		}
	}
}

// getLocked returns a queue's entry, a new one if there is none.
func (c *claimedCounts) getLocked(id int64) *claimedCount {
	count := c.queues[id]
	if count == nil {
		if len(c.queues) >= c.s.cfg.QueueCacheSize {
			clear(c.queues) // they are cheap to count anew
		}
		count = &claimedCount{}
		c.queues[id] = count
	}
	return count
}

func (c *claimedCounts) liveFrom(id int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.getLocked(id).liveFrom
}

func (c *claimedCounts) setLiveFrom(id, seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := c.getLocked(id)
	count.liveFrom = max(count.liveFrom, seq)
}

// forget drops what is remembered of a queue.
func (c *claimedCounts) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.queues, id)
}
