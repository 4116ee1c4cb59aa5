package bench

import (
	"context"
	"fmt"
	"time"
)

// echoer keeps sessions of an echo server busy.
type echoer struct {
	loop    *loop
	cfg     Config
	frame   *template
	echoed  int64
	latency histogram
	over    bool
}

// newEchoer opens the sessions.
func newEchoer(ctx context.Context, cfg Config) (*echoer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	e := &echoer{loop: l, cfg: cfg, latency: newHistogram()}
	e.frame = dialect{}.template("echo", messageBody(cfg.BodyBytes))
	conns, err := l.dialAll(ctx, cfg.Connections, cfg.URL, cfg.Project, func(int) {})
	if err != nil {
		l.close()
		return nil, err
	}
	for _, c := range conns {
		c.sent = make([]int64, max(cfg.Depth, maxLate))
	}
	return e, nil
}

func (e *echoer) send(c *conn, slot int) {
	c.out = e.frame.append(c.out, slot, 0)
	c.sent[slot] = e.loop.now
	e.loop.send(c)
}

// run drives the sessions for cfg.Duration.
func (e *echoer) run(ctx context.Context) error {
	start := e.loop.clock()
	return e.loop.run(ctx, func() bool { return e.over }, func() {
		e.over = e.loop.now-start >= int64(e.cfg.Duration)
	})
}

// EchoRate measures frames per second of the echo server at cfg.URL: Connections sessions keep Depth frames of about
// BodyBytes under way each, for Duration.
func EchoRate(ctx context.Context, cfg Config) (float64, error) {
	e, err := newEchoer(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	defer e.loop.close()
	for _, c := range e.loop.conns {
		c.onFrame = func(payload []byte) error {
			e.echoed++
			e.send(c, slot(payload))
			return nil
		}
		for s := range cfg.Depth {
			e.send(c, s)
		}
	}
	if err := e.run(ctx); err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	return float64(e.echoed) / cfg.Duration.Seconds(), nil
}

// EchoLatency measures the median time in milliseconds to an echo, at Rate frames per second on one session.
func EchoLatency(ctx context.Context, cfg Config) (float64, error) {
	cfg.Connections = 1
	e, err := newEchoer(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	defer e.loop.close()
	c, next := e.loop.conns[0], 0
	c.onFrame = func(payload []byte) error {
		e.latency.record(e.loop.now - c.sent[slot(payload)])
		return nil
	}
	err = e.loop.every(time.Second/time.Duration(cfg.Rate), func(expirations int64) error {
		for range expirations {
			e.send(c, next%maxLate)
			next++
		}
		return nil
	})
	if err == nil {
		err = e.run(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	return e.latency.distribution().P50, nil
}

// EchoMemory measures what an idle session costs the echo server, whose process is cfg.GatewayPID, in bytes: each of
// Connections sessions speaks once, then Settle passes.
func EchoMemory(ctx context.Context, cfg Config) (float64, error) {
	before, err := residentBytes(cfg.GatewayPID)
	if err != nil {
		return 0, err
	}
	e, err := newEchoer(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	defer e.loop.close()
	for _, c := range e.loop.conns {
		c.onFrame = func([]byte) error { return nil }
		e.send(c, 0)
	}
	e.cfg.Duration = cfg.Settle
	if err := e.run(ctx); err != nil {
		return 0, fmt.Errorf("raw reference: %w", err)
	}
	after, err := residentBytes(cfg.GatewayPID)
	return float64(after-before) / float64(cfg.Connections), err
}
