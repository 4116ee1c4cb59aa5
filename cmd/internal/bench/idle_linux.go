package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Idle measures what subscribed sessions that do nothing cost the gateway in memory. It needs GatewayPID. Afterwards
// each of them must still get a message.
func Idle(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.GatewayPID == 0 {
		return nil, errors.New("the gateway's process id is needed to measure its memory")
	}
	cfg.Subscribers, cfg.PerPost, cfg.Depth = cfg.Connections, 1, 1
	cfg.Queues = min(cfg.Queues, cfg.Connections)
	r, err := newRun(ctx, "idle", cfg, map[string]any{"connections": cfg.Connections, "queues": cfg.Queues})
	if err != nil {
		return nil, err
	}
	defer r.end()
	m := &Memory{Sessions: cfg.Connections}
	if m.Before, err = residentBytes(cfg.GatewayPID); err != nil {
		return nil, err
	}
	goroutines, known := r.goroutines()
	r.measure()
	a, err := r.subscribe(cfg.Connections)
	if err != nil {
		return nil, err
	}
	r.measured(int64(cfg.Connections), "sessions")
	m.AcceptsPerSecond = r.result.PerSecond
	if err := r.settle(); err != nil {
		return nil, err
	}
	if m.After, err = residentBytes(cfg.GatewayPID); err != nil {
		return nil, err
	}
	m.PerSession = float64(m.After-m.Before) / float64(m.Sessions)
	if now, ok := r.goroutines(); ok && known {
		per := (now - goroutines) / float64(m.Sessions)
		m.Goroutines = &per
	}
	r.result.Memory = m
	return r.finish(), r.reach(a)
}

// settle keeps the sessions open, answering pings, while the gateway gives memory back.
func (r *run) settle() error {
	start := r.loop.clock()
	over := func() bool { return time.Duration(r.loop.clock()-start) >= r.cfg.Settle }
	return r.loop.run(r.ctx, over, func() {
		r.cfg.Progress(0.2 + 0.7*float64(r.loop.clock()-start)/float64(r.cfg.Settle))
	})
}

// reach posts a message to each queue and waits until every session has it.
func (r *run) reach(a *audience) error {
	publishers, err := r.connect(len(r.queues))
	if err != nil {
		return err
	}
	p := r.newPoster(publishers, 1, 1)
	body := r.dialect(publishers[0])
	for _, c := range publishers { // number 0 for every queue, as each session expects that first
		c.out = body.post(r.queues[c.queue], 1, r.cfg.BodyBytes).append(c.out, 0, 0)
		c.sent[0] = r.loop.clock()
		if r.cfg.Zaqar {
			c.order = append(c.order, 0)
		}
		p.outstanding++
		r.loop.send(c)
	}
	p.stopped = true
	if err := r.loop.run(r.ctx, func() bool { return p.drained() && a.complete(1) }, func() {}); err != nil {
		return fmt.Errorf("%w (%d of %d sessions were reached)", err, a.delivered, len(a.conns))
	}
	a.checkComplete(1)
	return nil
}

// goroutines asks the gateway's metrics how many goroutines it has; false if they do not tell.
func (r *run) goroutines() (float64, bool) {
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(r.cfg.URL, "ws"), http.NoBody)
	if err != nil {
		return 0, false
	}
	request.URL.Path = "/metrics"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for response.StatusCode == http.StatusOK && lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return n, err == nil
		}
	}
	return 0, false
}
