package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// run is one run: its sessions, its queues and what it has measured so far.
type run struct {
	cfg     Config
	ctx     context.Context
	loop    *loop
	control *client.Client
	queues  []string
	result  *Result

	latencies map[string]histogram
	// measuring says that what happens now counts. From its start on:
	measuring bool
	since     int64 // clock
	machine   machineTime
	cpu       int64
}

// newRun connects and makes the queues ready.
func newRun(ctx context.Context, mode string, cfg Config, settings map[string]any) (*run, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	control, err := client.Dial(ctx, cfg.URL, client.Options{Project: cfg.Project})
	if err != nil {
		l.close()
		return nil, err
	}
	r := &run{cfg: cfg, ctx: ctx, loop: l, control: control, latencies: map[string]histogram{}}
	r.result = &Result{Mode: mode, Dialect: "compact", Started: time.Now().UTC(), Settings: settings, Violations: []string{}, Checks: []string{}}
	if cfg.Zaqar {
		r.result.Dialect = "zaqar"
	}
	prefix := "bench-" + uuid.NewString()[:8]
	for i := range cfg.Queues {
		r.queues = append(r.queues, fmt.Sprintf("%s-%d", prefix, i+1))
	}
	for _, q := range r.queues {
		if _, err := control.CreateQueue(ctx, q, nil); err != nil {
			r.end()
			return nil, err
		}
	}
	return r, nil
}

// end hangs up and removes the queues.
func (r *run) end() {
	r.loop.close()
	// The run's own context may have ended: that must not leave queues behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	for _, q := range r.queues {
		if r.control.DeleteQueue(ctx, q) != nil {
			break
		}
	}
	_ = r.control.Close()
}

// connect opens n sessions, spread over the queues.
func (r *run) connect(n int) ([]*conn, error) {
	conns, err := r.loop.dialAll(r.ctx, n, r.cfg.URL, r.cfg.Project, func(int) {})
	for i, c := range conns {
		if err == nil {
			c.queue = i % len(r.queues)
		}
	}
	return conns, err
}

// dialect is how c encodes its requests.
func (r *run) dialect(c *conn) dialect { return dialect{r.cfg.Zaqar, r.cfg.Project, c.clientID} }

// record adds a latency in nanoseconds if the run is being measured.
func (r *run) record(kind string, ns int64) {
	if !r.measuring {
		return
	}
	h, ok := r.latencies[kind]
	if !ok {
		h = newHistogram()
		r.latencies[kind] = h
	}
	h.record(ns)
}

// measure starts the measured part.
func (r *run) measure() {
	r.measuring, r.since = true, r.loop.clock()
	r.machine, r.cpu = readMachineTime(), processCPU(r.cfg.GatewayPID)
}

// measured ends it: count things of the given unit happened.
func (r *run) measured(count int64, unit string) {
	if !r.measuring {
		return
	}
	r.measuring = false
	seconds := float64(r.loop.clock()-r.since) / 1e9
	r.result.Seconds, r.result.Count, r.result.Unit = seconds, count, unit
	r.result.PerSecond = float64(count) / seconds
	r.result.Steal = r.machine.stealSince()
	if cpu := processCPU(r.cfg.GatewayPID); cpu > 0 && count > 0 {
		r.result.GatewayCPU = float64(cpu-r.cpu) / float64(count)
	}
}

// finish completes the result.
func (r *run) finish() *Result {
	r.result.Latency = map[string]Distribution{}
	for kind, h := range r.latencies {
		r.result.Latency[kind] = h.distribution()
	}
	r.cfg.Progress(1)
	return r.result
}

// elapsed is how long the measured part has lasted.
func (r *run) elapsed() time.Duration { return time.Duration(r.loop.clock() - r.since) }

// checkTotals compares the queues' statistics with what must be in them.
func (r *run) checkTotals(want func(queue int) client.QueueStats) error {
	for i, q := range r.queues {
		got, err := r.control.QueueStats(r.ctx, q)
		if err != nil {
			return err
		}
		w := want(i)
		if got.Total != w.Total || got.Claimed != w.Claimed || got.Free != w.Free {
			r.result.violate("statistics of %s: %d messages, %d claimed, %d free; it must be %d, %d, %d",
				q, got.Total, got.Claimed, got.Free, w.Total, w.Claimed, w.Free)
		}
	}
	r.result.checked("statistics of %d queues", len(r.queues))
	return nil
}
