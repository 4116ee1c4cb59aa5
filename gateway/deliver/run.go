package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// verdict is how a run, or a step of it, ended.
type verdict int

const (
	goOn    verdict = iota // the next step
	done                   // nothing more for now
	more                   // another run, when it is the stream's turn again
	pause                  // another run at stream.notBefore
	faulty                 // the database failed: another run a little later
	stalled                // the lease is too short: another run when it was renewed
	over                   // the lease is lost or was given back
)

// run is a stream at work, with a slot of its endpoint.
type run struct {
	*stream
	slot   *slot
	sink   Sink
	reread bool
	// hinted is the newest number that was hinted at before the feed was read.
	hinted int64
	// held are bytes of the lane's memory, large those of its memory for requests that are larger than their message.
	held, large int
	since       time.Time
}

// run works for the stream until it has nothing to do, has to wait, or has done its share: step by step, each only when
// those before have nothing to do any more.
func (s *stream) run(slot *slot) {
	r, ok := s.begin(slot)
	if !ok {
		slot.release()
		return
	}
	v := goOn
	for _, step := range []func() verdict{r.refresh, r.confirm, r.resend, r.follow} {
		if v = step(); v != goOn {
			break
		}
	}
	if r.held != 0 {
		slot.memory().give(r.held)
	}
	if r.large != 0 {
		slot.large().give(r.large)
	}
	slot.release()
	r.finish(v)
}

// begin makes the stream this goroutine's own, unless it was given up meanwhile.
func (s *stream) begin(slot *slot) (*run, bool) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if s.dropped {
		return nil, false
	}
	if s.e.stopping || s.saving {
		s.state, s.again = idle, true
		return nil, false
	}
	s.state, s.again = running, false
	r := &run{stream: s, slot: slot, sink: s.turn.sink, reread: s.reread || s.shed, hinted: s.head, since: time.Now()}
	s.reread = false
	return r, true
}

// finish gives the stream back.
func (r *run) finish(v verdict) {
	s, e := r.stream, r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	s.cursor = s.d.Cursor
	s.state = idle
	s.slim()
	if v == over || s.dropped {
		e.forget(s)
		return
	}
	if progressOf(s.d) != s.saved {
		e.dirty[s] = struct{}{}
		e.saveNow.set()
	}
	switch {
	case e.stopping:
	case v == pause && !s.reread:
		e.pause(s, s.notBefore)
	case v == faulty:
		e.pause(s, time.Now().Add(e.cfg.LeaseInterval))
	case v == stalled && time.Until(s.until) <= e.cfg.RequestTimeout:
		s.stalled = true
	case v != done || s.again || s.reread || s.head > s.cursor && s.queueID != 0:
		e.wake(s)
	}
}

// stopped says whether the run is to end between two requests.
func (r *run) stopped() bool { return r.ctx.Err() != nil || r.e.taking.Err() != nil }

// lasted says whether the run has had its slot for long enough while others wait: the rest is for its next turn.
func (r *run) lasted() bool { return time.Since(r.since) > r.e.cfg.SlowAfter && r.slot.wanted() }

// failed makes a verdict of an error of the database.
func (r *run) failed(err error, doing string) verdict {
	switch {
	case errors.Is(err, protocol.ErrLeaseLost):
		return over
	case r.ctx.Err() != nil:
		return done
	}
	r.e.fault(err, doing)
	return faulty
}

// query bounds one use of the database.
func (r *run) query() (context.Context, context.CancelFunc) { return r.e.query(r.ctx) }

// refresh reads the subscription anew if it has changed.
func (r *run) refresh() verdict {
	if !r.reread {
		return goOn
	}
	ctx, cancel := r.query()
	defer cancel()
	d, err := r.e.backend.ReadDurable(ctx, r.lease)
	if err != nil {
		r.e.mu.Lock()
		r.stream.reread = true
		r.e.mu.Unlock()
		return r.failed(err, "read a subscription")
	}
	moved := d.Subscription.Subscriber != r.d.Subscription.Subscriber
	asked := d.Confirm && !r.d.Confirm
	d.QueueID, d.Cursor, d.Attempts = r.d.QueueID, r.d.Cursor, r.d.Attempts
	if moved || asked {
		d.Attempts, r.notBefore = 0, time.Time{}
	}
	r.d, r.shed = d, false
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.version = d.Version
	if moved {
		r.e.endpoints.leave(r.turn)
		r.turn = r.e.endpoints.enter(r.e, r.key.Project, d.Subscription.Subscriber, r.start)
		return more
	}
	return goOn
}

// attempt sends a notice once. The verdict is goOn when the error says how that went; otherwise nothing was sent, or it was
// cut.
func (r *run) attempt(n Notice) (verdict, error) {
	switch {
	case r.stopped():
		return done, nil
	case !r.lasts():
		return stalled, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.e.cfg.RequestTimeout)
	defer cancel()
	sent, err := r.slot.send(func() error { return r.sink.Deliver(ctx, r.d, n) }, func() bool { return r.ctx.Err() != nil })
	switch {
	case !sent:
		return more, nil // in line again, until the breaker lets it through
	case err == nil:
		return goOn, nil
	case r.ctx.Err() != nil:
		return done, nil
	}
	r.e.counts.failed.Add(1)
	return goOn, err
}

// A policy may ask for any number of retries without delay. After quickRetries of them there is a pause between two all
// the same: the gateway does not flood who answers quickly that it wants none.
const (
	quickRetries = 20
	leastDelay   = time.Second
)

// retry counts a failed attempt and says when the next is: pause, or more for at once. goOn means that it was the last.
func (r *run) retry(f *Failure) verdict {
	r.d.Attempts++
	policy := policyOf(r.d)
	wait, again := policy.delay(r.d.Attempts)
	if !again || f.Final {
		return goOn
	}
	wait = max(wait, min(f.RetryAfter, r.e.cfg.MaxRetryAfter))
	if r.d.Attempts > quickRetries {
		wait = max(wait, leastDelay)
	}
	if wait == 0 {
		return more
	}
	r.notBefore = time.Now().Add(wait)
	return r.save(wait, pause)
}
