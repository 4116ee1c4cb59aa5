package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// sweeper removes what is over: expired and purged messages, old tombstones, deleted queues, dead gateways; and it moves
// dead letters whose workers are gone. One gateway does it for all. Readers never rely on it: they pass over what is over. Every statement takes a bounded number of
// rows, never waits for one, and is right when two sweepers run at once.
type sweeper struct {
	s     *Store
	lease workLease
	// heads remembers where each queue's first row was: numbers only grow, so none is ever added before it. Without
	// it, every look would step over the dead rows that an old snapshot keeps from being vacuumed.
	heads map[int64]int64
}

func newSweeper(s *Store) *sweeper {
	return &sweeper{s: s, lease: workLease{s: s, name: "sweep"}, heads: make(map[int64]int64)}
}

// errLeaseLost ends a pass.
var errLeaseLost = errors.New("another gateway sweeps")

// pace spaces the passes of one kind.
type pace struct {
	interval time.Duration
	share    int // percent
	next     time.Time
}

// done sets the time of the next pass after one that took a while; a pass that left work behind is soon followed.
func (p *pace) done(took time.Duration, more bool) {
	rest := took * time.Duration(100-p.share) / time.Duration(p.share)
	if more {
		p.next = time.Now().Add(took)
		return
	}
	p.next = time.Now().Add(max(p.interval, rest))
}

// run sweeps until ctx ends.
func (w *sweeper) run(ctx context.Context) {
	cfg := &w.s.cfg
	heads := pace{interval: cfg.SweepInterval, share: cfg.SweepShare, next: time.Now()}
	dead := pace{interval: cfg.SweepInterval, share: cfg.SweepShare, next: time.Now()}
	full := pace{interval: cfg.SweepFullInterval, share: cfg.SweepShare, next: time.Now().Add(cfg.SweepFullInterval)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.pass(ctx, &heads, w.sweepHeads)
		w.pass(ctx, &dead, w.deadLetters)
		w.pass(ctx, &full, w.sweepAll)
		timer.Reset(time.Until(earliest(heads.next, dead.next, full.next)))
	}
}

func earliest(times ...time.Time) time.Time { return slices.MinFunc(times, time.Time.Compare) }

// pass makes one pass if it is due and this gateway has the lease.
func (w *sweeper) pass(ctx context.Context, p *pace, sweep func(context.Context) (more bool, err error)) {
	start := time.Now()
	if start.Before(p.next) || ctx.Err() != nil {
		return
	}
	more, err := false, w.holds(ctx)
	if err == nil {
		more, err = sweep(ctx)
	}
	if err != nil && !errors.Is(err, errLeaseLost) && ctx.Err() == nil {
		w.s.log.Warn().Err(err).Msg("cannot sweep")
	}
	p.done(time.Since(start), more && err == nil)
}

// holds returns errLeaseLost unless this gateway has the lease. It is asked ahead of every statement's work.
func (w *sweeper) holds(ctx context.Context) error {
	held, err := w.lease.hold(ctx)
	if err == nil && !held {
		return errLeaseLost
	}
	return err
}

// sweepHeads does what has to be done often.
func (w *sweeper) sweepHeads(ctx context.Context) (more bool, err error) {
	for _, step := range []func(context.Context) (bool, error){
		w.headsOfQueues, w.droppedQueues, w.promotedRows, w.deadGateways,
	} {
		m, err := step(ctx)
		if err != nil {
			return false, err
		}
		more = more || m
	}
	return more, nil
}

// sweepAll does what takes long or is seldom needed.
func (w *sweeper) sweepAll(ctx context.Context) (more bool, err error) {
	if err := w.eachPage(ctx, sqlSweepPage, w.wholeQueues); err != nil {
		return false, err
	}
	return false, w.leftovers(ctx)
}
