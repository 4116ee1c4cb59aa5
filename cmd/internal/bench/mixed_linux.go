package bench

import (
	"context"
	"fmt"
)

// mixedBacklog is how many posts' worth of messages per claiming session may wait unclaimed in a mixed run.
const mixedBacklog = 4

// Mixed measures posting, claiming and deleting together: Connections sessions post, as many others claim and delete,
// and what counts is messages that went all the way. Posting waits while much is unclaimed, so the rates are equal.
func Mixed(ctx context.Context, cfg Config) (*Result, error) {
	cfg.Queues = 1
	r, err := newRun(ctx, "mixed", cfg, map[string]any{
		"connections": cfg.Connections, "depth": cfg.Depth, "messages_per_post": cfg.PerPost, "limit": cfg.Limit,
		"in_flight": cfg.InFlight, "body_bytes": cfg.BodyBytes,
	})
	if err != nil {
		return nil, err
	}
	defer r.end()
	conns, err := r.connect(2 * cfg.Connections)
	if err != nil {
		return nil, err
	}
	if err := r.occupy(conns); err != nil {
		return nil, err
	}
	p, k := r.newMix(conns)
	p.start()
	k.start()
	stop := func() { p.stopped = true }
	drained := func() bool {
		if !p.drained() {
			return false
		}
		k.want = p.acked
		k.wake()
		return k.finished()
	}
	if err := r.timed(func() int64 { return k.deleted }, "messages", stop, drained); err != nil {
		return nil, fmt.Errorf("%w (%d posted, %d claimed, %d deleted)", err, p.acked, k.claimed, k.deleted)
	}
	return r.finish(), r.checkClaims(k)
}

// newMix splits the sessions into posting and claiming ones that wake each other.
func (r *run) newMix(conns []*conn) (*poster, *claimer) {
	half := len(conns) / 2
	p := r.newPoster(conns[:half], r.cfg.PerPost, r.cfg.Depth)
	k := r.newClaimer(conns[half:], r.cfg.Limit, 0)
	k.want = -1
	k.available = func() int64 { return p.acked }
	limit := int64(max(mixedBacklog*r.cfg.Limit*len(k.conns), half*r.cfg.Depth*r.cfg.PerPost))
	p.mayPost = func() bool { return p.next-k.claimed < limit }
	p.onAck = k.wakeOne
	k.onDelete = p.wake
	return p, k
}

// wakeOne lets one parked session try again.
func (k *claimer) wakeOne() {
	if n := len(k.parked); n > 0 {
		c := k.parked[n-1]
		k.parked = k.parked[:n-1]
		k.claim(c)
	}
}
