package bench

import (
	"context"
	"fmt"
)

// maxBehind is how many messages subscribers may lag behind, on average, before the publisher waits: more would
// measure how far the gateway's buffers reach.
const maxBehind = 1000

// audience is sessions that are pushed to.
type audience struct {
	r         *run
	conns     []*conn
	ready     int
	delivered int64
	// onPush, if it is set, is told of each message.
	onPush func(number int64)
}

// subscribe opens n sessions and subscribes each of them to its queue.
func (r *run) subscribe(n int) (*audience, error) {
	conns, err := r.loop.dialAll(r.ctx, n, r.cfg.URL, r.cfg.Project, func(done int) {
		r.cfg.Progress(0.1 * float64(done) / float64(n))
	})
	if err != nil {
		return nil, err
	}
	a := &audience{r: r, conns: conns}
	for i, c := range conns {
		c.queue = i % len(r.queues)
		request := r.dialect(c).template("subscription_create", fmt.Sprintf(`{"queue_name":%q,"ttl":86400}`, r.queues[c.queue]))
		c.onFrame = func(payload []byte) error { return a.created(c, payload) }
		c.out = request.append(c.out, 0, 0)
		r.loop.send(c)
	}
	err = r.loop.run(r.ctx, func() bool { return a.ready == n }, func() { r.cfg.Progress(0.1 + 0.1*float64(a.ready)/float64(n)) })
	if err != nil {
		return nil, fmt.Errorf("subscribe: %d of %d sessions: %w", a.ready, n, err)
	}
	return a, nil
}

// created handles the reply to a session's subscription; what follows are pushes.
func (a *audience) created(c *conn, payload []byte) error {
	if s := status(payload); s != 201 {
		return fmt.Errorf("subscription_create was answered %d: %.300s", s, payload)
	}
	a.ready++
	c.onFrame = func(payload []byte) error { return a.push(c, payload) }
	return nil
}

// push checks that a push is the next one.
func (a *audience) push(c *conn, payload []byte) error {
	n := messageNumber(payload)
	if n != c.next {
		a.r.result.violate("a subscriber got %.200s instead of message %d", payload, c.next)
		if n < 0 {
			return nil
		}
	}
	c.next = n + 1
	a.delivered++
	if a.onPush != nil {
		a.onPush(n)
	}
	return nil
}

// complete says whether every subscriber has got n messages.
func (a *audience) complete(n int64) bool { return a.delivered >= n*int64(len(a.conns)) }

// checkComplete notes who did not get all of n messages.
func (a *audience) checkComplete(n int64) {
	for _, c := range a.conns {
		if c.next != n {
			a.r.result.violate("subscriber %d got %d of %d messages", c.index+1, c.next, n)
		}
	}
	a.r.result.checked("each of %d subscribers got %d messages, in order", len(a.conns), n)
}

// Fanout measures pushes: one session posts, with 16 posts under way (or Depth, if it is more), and Subscribers
// sessions must each get every message in order.
func Fanout(ctx context.Context, cfg Config) (*Result, error) {
	cfg.Queues, cfg.Connections = 1, 1
	cfg.Depth = max(cfg.Depth, 16)
	r, err := newRun(ctx, "fanout", cfg, map[string]any{
		"subscribers": cfg.Subscribers, "depth": cfg.Depth, "messages_per_post": cfg.PerPost, "body_bytes": cfg.BodyBytes,
	})
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
	p := r.newPoster(publisher, cfg.PerPost, cfg.Depth)
	subscribers := int64(cfg.Subscribers)
	p.mayPost = func() bool { return p.next-a.delivered/subscribers < max(maxBehind, int64(cfg.Depth*cfg.PerPost)) }
	p.start()
	drained := func() bool { return p.drained() && (a.complete(p.acked) || r.result.ViolationCount > 0) }
	a.onPush = func(n int64) {
		if n%16 == 0 { // often enough, and not for each of a million deliveries a second
			p.wake()
		}
	}
	if err := r.timed(func() int64 { return a.delivered }, "deliveries", func() { p.stopped = true }, drained); err != nil {
		return nil, fmt.Errorf("%w (%d posted, %d of %d deliveries)", err, p.acked, a.delivered, p.acked*subscribers)
	}
	a.checkComplete(p.acked)
	r.result.Settings["posts"] = p.acked
	return r.finish(), nil
}
