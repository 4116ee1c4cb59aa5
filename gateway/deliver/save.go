package deliver

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol"
)

// saveWorkers is how many streams' progress is saved at a time.
const saveWorkers = 4

// minSaveTick keeps the saver from spinning where progress is to be saved at once: runs do that themselves.
const minSaveTick = 10 * time.Millisecond

// save stores how far the stream has come; wait is how long it is to the next attempt. v is what to go on with. A lease
// that is lost ends the stream; other failures leave the progress to be saved later.
func (r *run) save(wait time.Duration, v verdict) verdict {
	err := r.e.saveStream(r.ctx, r.stream, wait)
	switch {
	case errors.Is(err, protocol.ErrLeaseLost):
		return over
	case err != nil && r.ctx.Err() == nil:
		r.e.fault(err, "save progress")
	}
	return v
}

// saveIfLate saves what has been unsaved for too long. The saver takes care of streams that do not run, but one
// that runs all the time is not among them.
func (r *run) saveIfLate() verdict {
	if r.unsavedSince.IsZero() || time.Since(r.unsavedSince) < r.e.cfg.SaveInterval {
		return goOn
	}
	return r.save(0, goOn)
}

// saveStream stores the progress of a stream that the caller owns.
func (e *Engine) saveStream(ctx context.Context, s *stream, wait time.Duration) error {
	ctx, cancel := e.query(ctx)
	defer cancel()
	now := progressOf(s.d)
	stored := now
	stored.Wait = wait
	if err := e.backend.SaveProgress(ctx, s.lease, stored); err != nil {
		s.unsavedSince = time.Now() // the next try is not due at once
		return err
	}
	s.saved, s.unsavedSince = now, time.Time{}
	return nil
}

// saveLoop saves the progress of streams that do not run, a SaveInterval after the first of them had something to save.
func (e *Engine) saveLoop() {
	for {
		select {
		case <-e.upkeep.Done():
			return
		case <-e.saveNow:
		}
		timer := time.NewTimer(max(e.cfg.SaveInterval, minSaveTick))
		select {
		case <-e.upkeep.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		e.saveAll(e.upkeep)
	}
}

// saveAll saves what streams that do not run have to save.
func (e *Engine) saveAll(ctx context.Context) {
	e.mu.Lock()
	list := make([]*stream, 0, len(e.dirty))
	for s := range e.dirty {
		list = append(list, s)
	}
	e.dirty = make(set)
	e.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(saveWorkers)
	for _, s := range list {
		group.Go(func() error {
			e.saveIdle(ctx, s)
			return nil
		})
	}
	_ = group.Wait() // its functions return no errors
}

// saveIdle saves a stream that does not run. One that runs saves itself, or is dirty again at its end.
func (e *Engine) saveIdle(ctx context.Context, s *stream) {
	e.mu.Lock()
	if s.state == running || s.dropped {
		e.mu.Unlock()
		return
	}
	s.saving = true
	e.mu.Unlock()

	err := e.saveStream(ctx, s, max(0, time.Until(s.notBefore)))

	e.mu.Lock()
	defer e.mu.Unlock()
	s.saving = false
	switch {
	case errors.Is(err, protocol.ErrLeaseLost) || s.dropped:
		e.forget(s)
		return
	case err != nil:
		e.fault(err, "save progress")
		e.dirty[s] = struct{}{}
		e.saveNow.set()
	}
	if s.again {
		s.again = false
		e.wake(s)
	}
}
