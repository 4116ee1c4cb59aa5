package bench

import (
	"context"
	"fmt"
	"time"
)

// maxLate is how many posts of a paced run may be unanswered.
const maxLate = 1000

// pacer posts by the clock, whether earlier posts were answered or not.
type pacer struct {
	*poster
	c    *conn
	free []int   // slots
	due  []int64 // by message: when it was sent
}

func (r *run) newPacer(c *conn) *pacer {
	p := &pacer{poster: r.newPoster([]*conn{c}, 1, maxLate), c: c}
	for slot := range maxLate {
		p.free = append(p.free, slot)
	}
	c.onFrame = func(payload []byte) error {
		slot, err := p.answered(c, payload)
		p.free = append(p.free, slot)
		return err
	}
	return p
}

// tick sends the posts that are due.
func (p *pacer) tick(expirations int64) error {
	for range expirations {
		n := len(p.free)
		if p.stopped {
			return nil
		}
		if n == 0 {
			return fmt.Errorf("%d posts are unanswered: the gateway cannot keep up with %d a second", maxLate, p.r.cfg.Rate)
		}
		slot := p.free[n-1]
		p.free = p.free[:n-1]
		p.due = append(p.due, p.r.loop.now)
		p.post(p.c, slot)
	}
	return nil
}

// Latency measures the way from a post to its pushes under light load: Rate posts per second, Subscribers sessions.
func Latency(ctx context.Context, cfg Config) (*Result, error) {
	cfg.Queues, cfg.PerPost = 1, 1
	r, err := newRun(ctx, "latency", cfg, map[string]any{"subscribers": cfg.Subscribers, "rate": cfg.Rate, "body_bytes": cfg.BodyBytes})
	if err != nil {
		return nil, err
	}
	defer r.end()
	a, err := r.subscribe(cfg.Subscribers)
	if err != nil {
		return nil, err
	}
	publisher, err := r.connect(1)
	if err != nil {
		return nil, err
	}
	p := r.newPacer(publisher[0])
	a.onPush = func(n int64) {
		if n < int64(len(p.due)) {
			r.record("push", r.loop.now-p.due[n])
		}
	}
	if err := r.loop.every(time.Second/time.Duration(cfg.Rate), p.tick); err != nil {
		return nil, err
	}
	drained := func() bool { return p.drained() && (a.complete(p.acked) || r.result.ViolationCount > 0) }
	if err := r.timed(func() int64 { return a.delivered }, "deliveries", func() { p.stopped = true }, drained); err != nil {
		return nil, fmt.Errorf("%w (%d posted, %d deliveries)", err, p.acked, a.delivered)
	}
	a.checkComplete(p.acked)
	return r.finish(), nil
}
