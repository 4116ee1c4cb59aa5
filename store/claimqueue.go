package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimQueue is what the claimer knows of one queue.
//
// Two positions save it from reading the same rows again: up to floor nothing was claimable when it was last
// looked at, though claims there may expire or be given back; up to head nothing will ever be claimable again.
// Neither is trusted for the answer "nothing": that is given only after a search from the head which began
// after the request came.
type claimQueue struct {
	c   *claimer
	key protocol.QueueKey

	// Guarded by c.mu.
	waiting []claimWait
	queued  bool // in c.ready, or to be put there by its worker
	running bool // a worker has it
	used    time.Time
	timer   *time.Timer
	id      int64 // of the queue that the positions are of; 0 before the first turn
	floor   int64
	lowered int64 // lowest floor demanded while a turn runs

	// Owned by the worker that has it.
	head       int64
	epoch      int64 // purge epoch in which bound was written
	bound      int64 // claimed_upto as last written
	rescanAt   time.Time
	nextExpiry time.Time // when the first claim known of expires
	pausedTo   time.Time // no search from the head before then
}

// reset forgets the positions, which were of another queue of the same name.
func (q *claimQueue) reset(id int64) {
	q.id, q.floor, q.lowered = id, 0, math.MaxInt64
	q.head, q.epoch, q.bound = 0, -1, 0
	q.rescanAt, q.nextExpiry, q.pausedTo = time.Time{}, time.Time{}, time.Time{}
}

// resting says whether the queue could be forgotten. The claimer's lock is held.
func (q *claimQueue) resting() bool { return len(q.waiting) == 0 && !q.running && !q.queued }

func (q *claimQueue) stopTimer() {
	if q.timer != nil {
		q.timer.Stop()
	}
}

// dropLateLocked takes out the requests whose deadline has passed.
func (q *claimQueue) dropLateLocked(now time.Time) (late []claimWait) {
	kept := q.waiting[:0]
	for _, w := range q.waiting {
		if passed(w.op.Deadline, now) {
			w.op.Err = fmt.Errorf("claim messages: deadline passed: %w", protocol.ErrUnavailable)
			late = append(late, w)
			continue
		}
		kept = append(kept, w)
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
	return late
}

// passed says whether a deadline has passed; the zero time is none.
func passed(deadline, now time.Time) bool { return !deadline.IsZero() && now.After(deadline) }

// take removes the requests of the next turn: the oldest, and those behind it of the same kind, up to as many
// messages as a statement may take.
func (q *claimQueue) take() []claimWait {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	q.lowered = math.MaxInt64
	n, rows := 0, 0
	for n < min(len(q.waiting), 1<<claimBatchBits) && q.waiting[n].pop == q.waiting[0].pop {
		rows += q.waiting[n].op.Limit
		if n > 0 && rows > q.c.cfg.Rows {
			break
		}
		n++
	}
	taken := append([]claimWait(nil), q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	q.c.waiting -= n
	return taken
}

// putBack returns requests that a turn could not answer to the front and sees to another turn at the given
// time. Requests that came meanwhile bring one at once.
func (q *claimQueue) putBack(waits []claimWait, again time.Time) {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	came := len(q.waiting)
	q.c.waiting += len(waits)
	q.waiting = append(waits, q.waiting...)
	switch {
	case came > 0:
		q.c.readyLocked(q)
	case len(waits) > 0:
		q.againLocked(again)
	}
}

func (q *claimQueue) againLocked(at time.Time) {
	delay := time.Until(at)
	if at.IsZero() || delay <= 0 || q.c.stopping {
		q.c.readyLocked(q)
		return
	}
	if q.timer == nil {
		q.timer = time.AfterFunc(delay, q.wake)
		return
	}
	q.timer.Reset(delay)
}

// wake is the timer's: the pause between two searches is over.
func (q *claimQueue) wake() {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	if len(q.waiting) > 0 {
		q.c.readyLocked(q)
	}
}

// turn serves what waits. It is called by one worker at a time.
func (q *claimQueue) turn(ctx context.Context) {
	waits := q.take()
	if len(waits) == 0 {
		return
	}
	left, again, err := q.serve(ctx, waits)
	if err != nil {
		q.fail(left, err)
		left = nil
	}
	q.putBack(left, again)
}

// fail ends requests with an error.
func (q *claimQueue) fail(waits []claimWait, err error) {
	told := waits[:0]
	for _, w := range waits {
		w.op.Err = fmt.Errorf("claim messages: %w", err)
		if w.pop || !q.c.s.follow(w.op, err) {
			told = append(told, w)
		}
	}
	finishClaims(told)
}

// nothing ends requests for which there is nothing to claim.
func (q *claimQueue) nothing(waits []claimWait) { finishClaims(waits) }

// serve answers requests. Those that it returns without an error wait for a search from the head, which may
// begin at the time returned.
func (q *claimQueue) serve(ctx context.Context, waits []claimWait) (left []claimWait, again time.Time, err error) {
	if waits = dropAbandoned(waits); len(waits) == 0 {
		return nil, again, nil
	}
	signer, err := q.c.signer(ctx)
	if err != nil {
		return waits, again, err
	}
	// A cached queue may be gone, and a queue of that name be there again under another id.
	for range 3 {
		info, err := q.resolve(ctx)
		if errors.Is(err, protocol.ErrNoQueue) {
			for _, w := range waits {
				w.op.QueueID = 0
			}
			q.nothing(waits)
			return nil, again, nil
		}
		if err != nil {
			return waits, again, err
		}
		for _, w := range waits {
			w.op.QueueID = info.id
		}
		pass := &claimPass{q: q, info: info, signer: signer, pending: waits}
		again, err = pass.run(ctx)
		waits = pass.pending
		if !errors.Is(err, protocol.ErrNoQueue) {
			return waits, again, err
		}
		q.c.s.forgetQueue(q.key, info.id)
	}
	q.nothing(waits)
	return nil, again, nil
}

// resolve finds the queue and starts over when it is another than before.
func (q *claimQueue) resolve(ctx context.Context) (*queueInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, q.c.cfg.Timeout)
	defer cancel()
	info, err := q.c.s.resolve(ctx, q.key, false)
	if err != nil {
		return nil, err
	}
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	if q.id != info.id {
		if q.c.byID[q.id] == q {
			delete(q.c.byID, q.id)
		}
		q.reset(info.id)
	}
	q.c.byID[info.id] = q
	return info, nil
}

// signer is the keyring's, bounded in time.
func (c *claimer) signer(ctx context.Context) (*claimSigner, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	signer, err := c.keys.signer(ctx)
	if err != nil {
		return nil, c.s.classify(err)
	}
	return signer, nil
}

// expects notes that a claim expires at about the given time, when the head becomes worth a search.
func (q *claimQueue) expects(at time.Time) {
	if q.nextExpiry.IsZero() || at.Before(q.nextExpiry) {
		q.nextExpiry = at
	}
}

// rescanDue says whether to begin at the head although the floor may have more.
func (q *claimQueue) rescanDue(now time.Time) bool {
	if now.Before(q.pausedTo) {
		return false
	}
	return !now.Before(q.rescanAt) || (!q.nextExpiry.IsZero() && !now.Before(q.nextExpiry))
}

// scanSpacing keeps searches from the head to a twentieth of the time.
const scanSpacing = 20

// rescanned notes a search from the head that took so long.
func (q *claimQueue) rescanned(now time.Time, took time.Duration) {
	q.pausedTo = now.Add(min(scanSpacing*took, q.c.cfg.Spacing))
	q.rescanAt = now.Add(q.c.cfg.Rescan)
}
