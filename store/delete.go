package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Delete deletes messages in the background. It never blocks; the operation's Waiter is told exactly once.
//
// Ids of messages that do not exist are ignored, so it may be repeated. Of several ids some may be deleted although
// Err is set: it is the first id's that was refused. Errors: ErrClaimed, ErrNoClaim, ErrNotClaimed, ErrNotClaimedBy,
// ErrOverloaded, ErrUnavailable, ErrStopping, ErrOutcomeUnknown.
func (s *Store) Delete(op *protocol.DeleteOp) { s.deletes.submit(op) }

// deletes merges the deletes of all connections and queues into one statement at a time. What such a statement does
// not delete - missing, held, locked, or in the inbox - goes the slow way, where it is looked at and, if it was only
// locked, tried again.
type deletes struct {
	s   *Store
	cfg ClaimConfig

	stopTicks context.CancelFunc
	wg        sync.WaitGroup
	more      chan struct{} // something waits, or stopping
	moreSlow  chan struct{}

	mu       sync.Mutex
	waiting  []*deleteWait
	slow     []*deleteWait
	ids      int // of all that is not finished
	stopping bool
	fastDone bool
}

// deleteWait is a delete on its way.
type deleteWait struct {
	op   *protocol.DeleteOp
	info *queueInfo // nil until the queue is resolved
	refs []claimRef // the claims that the caller holds
	// items are the ids whose fate is open.
	items   []deleteItem
	ready   bool // info, refs and items are set
	fenced  bool // one of the claims was live: it let a message be deleted
	failed  int  // the lowest index with an error
	tries   int
	retryAt time.Time
}

// deleteItem is one id.
type deleteItem struct {
	index int   // in op.IDs
	seq   int64 // 0: in the inbox
	inbox int64
}

func newDeletes(s *Store) *deletes {
	return &deletes{s: s, cfg: s.cfg.Claims, more: make(chan struct{}, 1), moreSlow: make(chan struct{}, 1)}
}

// start starts the work. It ends by stop, which first finishes what waits; when ctx ends, what waits fails.
func (d *deletes) start(ctx context.Context) {
	d.wg.Go(func() { d.run(ctx) })
	d.wg.Go(func() { d.runSlow(ctx) })
	ticks, cancel := context.WithCancel(ctx)
	d.stopTicks = cancel
	d.wg.Go(func() { d.runTicks(ticks) })
}

// stop refuses new deletes, finishes those that wait and returns when all goroutines are done.
func (d *deletes) stop() {
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	signal(d.more)
	if d.stopTicks != nil {
		d.stopTicks()
	}
	d.wg.Wait()
}

// signal wakes who waits on a channel of capacity 1; signals merge.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *deletes) submit(op *protocol.DeleteOp) {
	w := &deleteWait{op: op, failed: len(op.IDs)}
	d.mu.Lock()
	err := d.admitLocked(w)
	d.mu.Unlock()
	if err != nil {
		op.Err = fmt.Errorf("delete messages: %w", err)
		tellDeletes([]*deleteWait{w})
		return
	}
	signal(d.more)
}

func (d *deletes) admitLocked(w *deleteWait) error {
	if d.stopping {
		return protocol.ErrStopping
	}
	if d.ids+len(w.op.IDs) > d.cfg.Deletes && d.ids > 0 {
		return protocol.ErrOverloaded
	}
	d.ids += len(w.op.IDs)
	d.waiting = append(d.waiting, w)
	return nil
}

// tellDeletes tells the waiters, whose results are set.
func tellDeletes(done []*deleteWait) {
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

// finish ends deletes that were admitted.
func (d *deletes) finish(done []*deleteWait) {
	if len(done) == 0 {
		return
	}
	d.mu.Lock()
	for _, w := range done {
		d.ids -= len(w.op.IDs)
	}
	d.mu.Unlock()
	tellDeletes(slices.DeleteFunc(done, func(w *deleteWait) bool { return d.s.follow(w.op, w.op.Err) }))
}

// run carries out what waits, one statement after another.
func (d *deletes) run(ctx context.Context) {
	for range d.more {
		for {
			waits, stopping := d.take()
			if len(waits) > 0 {
				d.fast(ctx, waits)
				continue
			}
			if stopping {
				d.mu.Lock()
				d.fastDone = true
				d.mu.Unlock()
				signal(d.moreSlow)
				return
			}
			break
		}
	}
}

// take removes deletes of about as many ids as a statement may have.
func (d *deletes) take() (waits []*deleteWait, stopping bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ids := 0, 0
	for n < len(d.waiting) {
		ids += len(d.waiting[n].op.IDs)
		if n > 0 && ids > d.cfg.DeleteRows {
			break
		}
		n++
	}
	waits = append(waits, d.waiting[:n]...)
	rest := copy(d.waiting, d.waiting[n:])
	clear(d.waiting[rest:])
	d.waiting = d.waiting[:rest]
	return waits, d.stopping
}

// fast deletes what one statement can delete and hands the rest on.
func (d *deletes) fast(ctx context.Context, waits []*deleteWait) {
	var known, done, rest []*deleteWait
	for _, w := range waits {
		info := d.s.cache.fresh(w.op.Queue)
		if info == nil || w.ofLaterQueue(info.id) || !d.prepare(w, info) {
			rest = append(rest, w)
			continue
		}
		known = append(known, w)
	}
	if err := d.deleteAll(ctx, known); err != nil {
		failDeletes(known, err)
		done, known = known, nil
	}
	for _, w := range known {
		if len(w.items) == 0 {
			done = append(done, w)
		} else {
			rest = append(rest, w)
		}
	}
	d.finish(done)
	if len(rest) > 0 {
		d.mu.Lock()
		d.slow = append(d.slow, rest...)
		d.mu.Unlock()
		signal(d.moreSlow)
	}
}

func failDeletes(waits []*deleteWait, err error) {
	for _, w := range waits {
		w.op.Err = fmt.Errorf("delete messages: %w", err)
		w.items = nil
	}
}

// ofLaterQueue says whether an id is of a queue made after the one with the given id: the cache may be out of date.
func (w *deleteWait) ofLaterQueue(id int64) bool { return w.latestQueue() > id }

// latestQueue returns the highest queue id among the ids.
func (w *deleteWait) latestQueue() (latest int64) {
	for _, id := range w.op.IDs {
		latest = max(latest, id.Queue)
	}
	return latest
}

// prepare sets what is to be deleted. Ids of other queues are ids of no message. It reports false when the claim ids
// cannot be read yet, because the key is not loaded.
func (d *deletes) prepare(w *deleteWait, info *queueInfo) bool {
	if w.op.Fenced && len(w.op.ClaimIDs) > 0 {
		signer := d.s.claims.keys.known()
		if signer == nil {
			return false
		}
		for _, id := range w.op.ClaimIDs {
			if ref, err := signer.parse(id); err == nil && ref.queueID == info.id {
				w.refs = append(w.refs, ref)
			}
		}
	}
	w.info, w.ready = info, true
	w.items = make([]deleteItem, 0, len(w.op.IDs))
	for i, id := range w.op.IDs {
		if id.Queue != info.id {
			continue
		}
		item := deleteItem{index: i, seq: id.N}
		if id.Inbox {
			item.seq, item.inbox = 0, id.N
		}
		w.items = append(w.items, item)
	}
	return true
}

// refuse notes that an id was refused; the error of the first one counts.
func (w *deleteWait) refuse(index int, err error) {
	if index < w.failed {
		w.failed = index
		w.op.Err = fmt.Errorf("delete messages: %w", err)
	}
}

// runTicks fails deletes whose time is up while they wait, also when the database stands still.
func (d *deletes) runTicks(ctx context.Context) {
	ticker := time.NewTicker(claimTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			d.finish(d.late(now))
		}
	}
}

// late removes the waiting deletes whose deadline has passed and returns them, failed. Those on the slow way are
// being worked on, and come back by themselves.
func (d *deletes) late(now time.Time) (late []*deleteWait) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.waiting[:0]
	for _, w := range d.waiting {
		if passed(w.op.Deadline, now) {
			late = append(late, w)
			continue
		}
		kept = append(kept, w)
	}
	clear(d.waiting[len(kept):])
	d.waiting = kept
	failDeletes(late, fmt.Errorf("deadline passed: %w", protocol.ErrUnavailable))
	return late
}
