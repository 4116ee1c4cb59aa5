package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// runSlow works on the deletes that the fast way could not finish.
func (d *deletes) runSlow(ctx context.Context) {
	var open []*deleteWait
	for {
		d.mu.Lock()
		open = append(open, d.slow...)
		d.slow = nil
		ended := d.fastDone
		d.mu.Unlock()
		open = d.slowRound(ctx, open)
		if ended && len(open) == 0 {
			return
		}
		d.awaitSlow(open)
	}
}

// awaitSlow waits for more work or for the time of the next try.
func (d *deletes) awaitSlow(open []*deleteWait) {
	var due <-chan time.Time
	if len(open) > 0 {
		next := open[0].retryAt
		for _, w := range open {
			if w.retryAt.Before(next) {
				next = w.retryAt
			}
		}
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-d.moreSlow:
	case <-due:
	}
}

// slowRound tries the deletes whose time has come, a statement's worth at a time, and returns those still open.
func (d *deletes) slowRound(ctx context.Context, open []*deleteWait) (left []*deleteWait) {
	now := time.Now()
	var due []*deleteWait
	ids := 0
	for _, w := range open {
		// What a round has no room for is due in the next one, which follows at once.
		if w.retryAt.After(now) || ids > d.cfg.DeleteRows {
			left = append(left, w)
			continue
		}
		due = append(due, w)
		ids += len(w.op.IDs)
	}
	var done []*deleteWait
	for _, w := range d.try(ctx, due) {
		switch {
		case len(w.items) == 0 && w.ready || w.op.Err != nil && !w.ready:
			done = append(done, w)
		case w.tries >= d.cfg.DeleteRetries || passed(w.op.Deadline, time.Now()) || ctx.Err() != nil:
			failDeletes([]*deleteWait{w}, fmt.Errorf("%w: messages stay locked", protocol.ErrUnavailable))
			done = append(done, w)
		default:
			w.retryAt = time.Now().Add(min(time.Millisecond<<w.tries, slowestRetry))
			w.tries++
			left = append(left, w)
		}
	}
	d.finish(done)
	return left
}

// slowestRetry bounds the pauses between tries, which double from 1 ms.
const slowestRetry = 250 * time.Millisecond

// try makes one attempt and returns the deletes again, with what is settled taken off their lists. A fault of the
// database fails them all.
func (d *deletes) try(ctx context.Context, waits []*deleteWait) []*deleteWait {
	var ready []*deleteWait
	for _, w := range waits {
		if err := d.makeReady(ctx, w); err != nil {
			w.op.Err = fmt.Errorf("delete messages: %w", err)
			continue
		}
		if len(w.items) > 0 {
			ready = append(ready, w)
		}
	}
	for _, step := range []func(context.Context, []*deleteWait) error{d.deleteDelayed, d.deleteAll, d.diagnose} {
		if err := step(ctx, ready); err != nil {
			failDeletes(ready, err)
			break
		}
	}
	return waits
}

// makeReady resolves the queue and reads the claim ids.
func (d *deletes) makeReady(ctx context.Context, w *deleteWait) error {
	if w.ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	info, err := d.s.resolveID(ctx, w.op.Queue, w.latestQueue())
	if errors.Is(err, protocol.ErrNoQueue) {
		w.ready = true
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := d.s.claims.signer(ctx); err != nil {
		return err
	}
	if !d.prepare(w, info) {
		return fmt.Errorf("%w: claim key is not loaded", protocol.ErrUnavailable)
	}
	return nil
}

// deleteDelayed deletes ids of the inbox. Those that were promoted meanwhile get their number; those that are locked
// stay open.
func (d *deletes) deleteDelayed(ctx context.Context, waits []*deleteWait) error {
	for _, w := range waits {
		if !slices.ContainsFunc(w.items, func(item deleteItem) bool { return item.seq == 0 }) {
			continue
		}
		if err := d.deleteDelayedOf(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (d *deletes) deleteDelayedOf(ctx context.Context, w *deleteWait) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	var ids []int64
	for _, item := range w.items {
		if item.seq == 0 {
			ids = append(ids, item.inbox)
		}
	}
	var deleted []int64
	var err error
	// Nothing holds a message that waits in the inbox, so it cannot be deleted by a claim.
	byClaim := w.op.Fenced && len(w.op.ClaimIDs) > 0
	if !byClaim {
		if deleted, err = d.inboxIDs(ctx, inboxDeleteSQL, w.info.id, ids, d.s.writer(writerDeletes)); err != nil {
			return d.s.classifyWrite(err)
		}
	}
	left, err := d.inboxIDs(ctx, inboxLeftSQL, w.info.id, ids)
	if err != nil {
		return d.s.classify(err)
	}
	promoted, err := d.s.promoted(ctx, w.info.id, ids)
	if err != nil {
		return err
	}
	w.items = slices.DeleteFunc(w.items, func(item deleteItem) bool {
		if item.seq > 0 || slices.Contains(deleted, item.inbox) {
			return item.seq == 0
		}
		if slices.Contains(left, item.inbox) {
			if byClaim {
				w.refuse(item.index, protocol.ErrNotClaimed)
			}
			return byClaim
		}
		return promoted[item.inbox] == 0
	})
	for i, item := range w.items {
		if seq := promoted[item.inbox]; item.seq == 0 && seq != 0 {
			w.items[i].seq = seq
		}
	}
	return nil
}

// inboxIDs runs a statement on one queue's inbox that returns ids.
func (d *deletes) inboxIDs(ctx context.Context, sql string, args ...any) ([]int64, error) {
	rows, err := d.s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// promoted returns the numbers in the queue of those inbox ids that have been promoted.
func (s *Store) promoted(ctx context.Context, queueID int64, ids []int64) (map[int64]int64, error) {
	rows, err := s.pool.Query(ctx, promotedSQL, queueID, ids)
	if err != nil {
		return nil, fmt.Errorf("look up promoted messages: %w", s.classify(err))
	}
	numbers := make(map[int64]int64)
	var id, seq int64
	_, err = pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
		numbers[id] = seq
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up promoted messages: %w", s.classify(err))
	}
	return numbers, nil
}
