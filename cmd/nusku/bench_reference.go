package main

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/bench"
)

// reference is a raw measurement beside a run.
type reference struct {
	what, unit string
	// figure is what of a result is compared with it.
	figure func(*bench.Result) float64
	// start makes it ready; stop ends what start has started.
	start func(g *globals, cfg bench.Config) (measure bench.Measure, stop func() error, err error)
}

var copyReference = reference{
	what: "COPY of the same rows into a plain table", unit: "rows/s", figure: bench.PerSecond,
	start: func(g *globals, cfg bench.Config) (bench.Measure, func() error, error) {
		r, err := bench.StartCopyReference(g.ctx, cfg.BodyBytes, zerolog.Nop())
		if err != nil {
			return nil, nil, err
		}
		return r.Measure, r.Stop, nil
	},
}

// The loads of the echo references.
const (
	echoConnections = 100
	echoDepth       = 16
	echoDuration    = 2 * time.Second
)

var echoRateReference = reference{
	what: "frames echoed by coder/websocket, 100 sessions, 16 under way each", unit: "frames/s", figure: bench.PerSecond,
	start: echo(func(ctx context.Context, cfg bench.Config) (float64, error) {
		cfg.Connections, cfg.Depth, cfg.Duration = echoConnections, echoDepth, echoDuration
		return bench.EchoRate(ctx, cfg)
	}),
}

var echoLatencyReference = reference{
	what: "median time to an echo of coder/websocket at the same rate", unit: "ms", figure: bench.PushP50,
	start: echo(func(ctx context.Context, cfg bench.Config) (float64, error) {
		cfg.Duration = echoDuration
		return bench.EchoLatency(ctx, cfg)
	}),
}

var echoMemoryReference = reference{
	what: "memory of an idle session of a coder/websocket echo server", unit: "bytes", figure: bench.PerSession,
	start: echo(bench.EchoMemory),
}

// echo starts a fresh echo server for each measurement: a process of its own, as the gateway is.
func echo(measure func(context.Context, bench.Config) (float64, error)) func(*globals, bench.Config) (bench.Measure, func() error, error) {
	return func(_ *globals, cfg bench.Config) (bench.Measure, func() error, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, err
		}
		once := func(ctx context.Context) (_ float64, err error) {
			server, err := bench.StartEcho(ctx, self)
			if err != nil {
				return 0, err
			}
			defer func() { _ = server.Stop() }()
			cfg.URL, cfg.GatewayPID, cfg.Progress = server.URL, server.PID, nil
			return measure(ctx, cfg)
		}
		return once, func() error { return nil }, nil
	}
}
