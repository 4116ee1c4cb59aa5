package deliver

import (
	"context"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// state is what a stream does.
type state int

const (
	idle    state = iota // nothing to do, as far as is known
	queued               // in its endpoint's line, or about to run
	running              // has a slot
	waiting              // for the time of the next attempt
)

// stream is a leased subscription.
type stream struct {
	e     *Engine
	lease protocol.Lease
	key   protocol.QueueKey
	ctx   context.Context // ends with the lease
	cut   context.CancelCauseFunc

	// These belong to the run while state is running, and to the saver while saving is set. Both never are.
	d *protocol.Durable // Cursor, QueueID and Attempts are ahead of what is stored
	// notBefore is the time of the next attempt.
	notBefore time.Time
	saved     protocol.Progress
	// unsavedSince is how old the oldest progress is that was not saved; zero if all is.
	unsavedSince time.Time
	// shed says that d lacks what is large in it, until it is read anew.
	shed bool
	// lastGone is the newest queue that was found deleted: ids only grow, so what names it later is out of date.
	lastGone int64

	// The rest is guarded by Engine.mu.
	turn    *turn
	state   state
	wakeAt  time.Time // when state is waiting
	index   int       // in Engine.waits
	until   time.Time // the lease's end
	version int64
	queueID int64 // where the stream is, as of the end of its last run
	cursor  int64
	head    int64 // the newest number that was hinted at
	again   bool  // woken while it ran, or its turn came while it was saved
	saving  bool  // the saver is at work
	reread  bool  // the subscription has changed, or its queue's policy
	stalled bool  // the lease was too short to go on
	dropped bool
	// successor is the next lease of the same subscription, got while a run of this one has not ended.
	successor      *protocol.Durable
	successorUntil time.Time
}

func newStream(e *Engine, d *protocol.Durable, until time.Time) *stream {
	s := &stream{
		e: e, lease: d.Lease, key: d.Subscription.Queue, d: d, until: until, version: d.Version,
		queueID: d.QueueID, cursor: d.Cursor, saved: progressOf(d),
	}
	if d.Wait > 0 {
		s.notBefore = time.Now().Add(d.Wait)
	}
	s.slim()
	s.ctx, s.cut = context.WithCancelCause(e.working)
	s.turn = e.endpoints.enter(e, s.key.Project, d.Subscription.Subscriber, s.start)
	return s
}

// keptOptions is how much of options and policy a stream keeps while it does not run: there are many streams. Bytes.
const keptOptions = 2 << 10

// slim drops what is large about the subscription; the next run reads it anew.
func (s *stream) slim() {
	sub := &s.d.Subscription
	if len(sub.Options)+len(s.d.Policy) <= keptOptions {
		return
	}
	d := *s.d
	d.Subscription.Options, d.Policy = nil, nil
	s.d, s.shed = &d, true
}

func progressOf(d *protocol.Durable) protocol.Progress {
	return protocol.Progress{QueueID: d.QueueID, Cursor: d.Cursor, Attempts: d.Attempts}
}

// start runs the stream with a slot.
func (s *stream) start(slot *slot) { s.e.runs.Go(func() { s.run(slot) }) }

// wake has the stream run unless it waits for the time of its next attempt. Requires mu.
func (e *Engine) wake(s *stream) {
	if e.stopping || s.dropped {
		return
	}
	switch s.state {
	case idle:
		s.state = queued
		e.endpoints.queue(s.turn)
	case running:
		s.again = true
	case queued, waiting:
	}
}

// wakeNow has the stream run, also if it waits: something about it has changed. Requires mu.
func (e *Engine) wakeNow(s *stream) {
	if s.state == waiting {
		e.waits.remove(s)
		s.state = idle
	}
	e.wake(s)
}

// pause has the stream run at a time. Requires mu and a stream that is idle.
func (e *Engine) pause(s *stream, at time.Time) {
	s.state, s.wakeAt = waiting, at
	if e.waits.add(s) {
		e.clockNow.set()
	}
}

// watch has hints about the stream's queue reach it. Requires mu.
func (e *Engine) watch(s *stream) {
	e.hints.watch(s.key, s.queueID, 1)
	addTo(e.byKey, s.key, s)
	if s.queueID != 0 {
		addTo(e.byQueue, s.queueID, s)
	}
}

// unwatch undoes watch. Requires mu.
func (e *Engine) unwatch(s *stream) {
	e.hints.watch(s.key, s.queueID, -1)
	removeFrom(e.byKey, s.key, s)
	if s.queueID != 0 {
		removeFrom(e.byQueue, s.queueID, s)
	}
}

func addTo[K comparable](m map[K]set, key K, s *stream) {
	if m[key] == nil {
		m[key] = make(set)
	}
	m[key][s] = struct{}{}
}

func removeFrom[K comparable](m map[K]set, key K, s *stream) {
	delete(m[key], s)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// lasts says whether the lease lasts longer than a request may take.
func (s *stream) lasts() bool {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	return !s.dropped && time.Until(s.until) > s.e.cfg.RequestTimeout
}
