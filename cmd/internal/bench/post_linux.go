package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// poster keeps sessions posting.
type poster struct {
	r       *run
	conns   []*conn
	perPost int
	depth   int
	// templates by session.
	templates map[*conn]*template
	// limit is the number of messages to post, 0 for no end but stop.
	limit int64
	// mayPost, if it is set, holds the next post back; wake tries again.
	mayPost func() bool
	idle    []pause
	// onAck, if it is set, is told of each successful post.
	onAck func()

	stopped     bool
	next        int64 // number of the next message
	outstanding int   // posts
	acked       int64 // messages
	byQueue     []int64
}

// pause is a session's slot that does not post at present.
type pause struct {
	c    *conn
	slot int
}

func (r *run) newPoster(conns []*conn, perPost, depth int) *poster {
	p := &poster{r: r, conns: conns, perPost: perPost, depth: depth, templates: map[*conn]*template{}, byQueue: make([]int64, len(r.queues))}
	for _, c := range conns {
		p.templates[c] = r.dialect(c).post(r.queues[c.queue], perPost, r.cfg.BodyBytes)
		c.sent, c.order = make([]int64, depth), nil
		c.onFrame = func(payload []byte) error { return p.reply(c, payload) }
	}
	return p
}

// start sends the first posts.
func (p *poster) start() {
	p.r.loop.now = p.r.loop.clock()
	for slot := range p.depth {
		for _, c := range p.conns {
			p.post(c, slot)
		}
	}
}

// post sends the next post in c's slot, or leaves the slot idle.
func (p *poster) post(c *conn, slot int) {
	if p.stopped || p.limit > 0 && p.next >= p.limit {
		return
	}
	if p.mayPost != nil && !p.mayPost() {
		p.idle = append(p.idle, pause{c, slot})
		return
	}
	c.out = p.templates[c].append(c.out, slot, p.next)
	c.sent[slot] = p.r.loop.now
	if p.r.cfg.Zaqar {
		c.order = append(c.order, slot)
	}
	p.next += int64(p.perPost)
	p.outstanding++
	p.r.loop.send(c)
}

// wake lets idle slots try again.
func (p *poster) wake() {
	idle := p.idle
	p.idle = nil
	for _, i := range idle {
		p.post(i.c, i.slot)
	}
}

// reply handles a post's reply: the next post follows.
func (p *poster) reply(c *conn, payload []byte) error {
	slot, err := p.answered(c, payload)
	if err == nil {
		p.post(c, slot)
	}
	return err
}

// answered checks a post's reply and says whose slot is free now.
func (p *poster) answered(c *conn, payload []byte) (slot int, err error) {
	if slot, err = p.slot(c, payload); err != nil {
		return 0, err
	}
	p.outstanding--
	p.r.record("post", p.r.loop.now-c.sent[slot])
	if s := status(payload); s != 201 {
		p.r.result.violate("a post was answered %d: %.300s", s, payload)
	} else if n := countIDs(payload); n != p.perPost {
		p.r.result.violate("a post of %d messages was answered with %d ids", p.perPost, n)
	} else {
		p.acked += int64(p.perPost)
		p.byQueue[c.queue] += int64(p.perPost)
		if p.onAck != nil {
			p.onAck()
		}
	}
	return slot, nil
}

// slot finds the slot that a reply belongs to: by its id or, in Zaqar's dialect, by its place.
func (p *poster) slot(c *conn, payload []byte) (int, error) {
	if p.r.cfg.Zaqar {
		if len(c.order) == 0 {
			return 0, fmt.Errorf("a reply that nothing asked for: %.300s", payload)
		}
		s := c.order[0]
		c.order = c.order[:copy(c.order, c.order[1:])]
		return s, nil
	}
	s := slot(payload)
	if s < 0 || s >= len(c.sent) {
		return 0, fmt.Errorf("a reply that nothing asked for: %.300s", payload)
	}
	return s, nil
}

// drained says that every post was answered and none will follow.
func (p *poster) drained() bool {
	over := p.stopped || p.limit > 0 && p.next >= p.limit
	return over && p.outstanding == 0
}

// Post measures durable posts: Connections sessions keep Depth posts of PerPost messages under way each. Afterwards
// the queues must hold exactly what was acknowledged.
func Post(ctx context.Context, cfg Config) (*Result, error) {
	r, err := newRun(ctx, "post", cfg, map[string]any{
		"connections": cfg.Connections, "depth": cfg.Depth, "messages_per_post": cfg.PerPost, "queues": cfg.Queues, "body_bytes": cfg.BodyBytes,
	})
	if err != nil {
		return nil, err
	}
	defer r.end()
	conns, err := r.connect(cfg.Connections)
	if err != nil {
		return nil, err
	}
	p := r.newPoster(conns, cfg.PerPost, cfg.Depth)
	p.start()
	if err := r.timed(func() int64 { return p.acked }, "messages", func() { p.stopped = true }, p.drained); err != nil {
		return nil, fmt.Errorf("%w (%d messages acknowledged, %d posts outstanding)", err, p.acked, p.outstanding)
	}
	err = r.checkTotals(func(queue int) client.QueueStats {
		return client.QueueStats{Total: p.byQueue[queue], Free: p.byQueue[queue]}
	})
	r.result.checked("every post answered 201 with its ids: %d messages", p.acked)
	return r.finish(), err
}

// timed runs through the warm-up, the measured part, in which count grows, and the end: stop, then until drained.
func (r *run) timed(count func() int64, unit string, stop func(), drained func() bool) error {
	start := r.loop.clock()
	counted, over := int64(0), false
	tick := func() {
		elapsed := time.Duration(r.loop.now - start)
		switch {
		case elapsed < r.cfg.Warmup:
		case !r.measuring && !over:
			counted = count()
			r.measure()
		case !over && r.elapsed() >= r.cfg.Duration:
			r.measured(count()-counted, unit)
			over = true
			stop()
		}
		r.cfg.Progress(min(0.99, elapsed.Seconds()/(r.cfg.Warmup+r.cfg.Duration).Seconds()))
	}
	return r.loop.run(r.ctx, func() bool { return over && drained() }, tick)
}
