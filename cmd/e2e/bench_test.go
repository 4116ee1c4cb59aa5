package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/cmd/internal/bench"
)

// benchmark runs a mode of `nusku bench` once per iteration against a gateway of its own. What counts is the metrics,
// not the time per operation.
func benchmark(b *testing.B, run func(context.Context, bench.Config) (*bench.Result, error), change func(*bench.Config)) {
	b.Helper()
	g, err := bench.StartGateway(b.Context(), program)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := g.Stop(); err != nil {
			b.Error(err)
		}
	}()
	cfg := bench.Default()
	cfg.URL, cfg.GatewayPID, cfg.Duration = g.URL, g.PID, 3*time.Second
	change(&cfg)
	for b.Loop() {
		result, err := run(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		if result.ViolationCount > 0 {
			b.Fatalf("violations: %q", result.Violations)
		}
		b.ReportMetric(result.PerSecond, result.Unit+"/s")
		for kind, l := range result.Latency {
			b.ReportMetric(l.P50, kind+"-p50-ms")
			b.ReportMetric(l.P99, kind+"-p99-ms")
		}
		if result.Memory != nil {
			b.ReportMetric(result.Memory.PerSession, "B/session")
		}
	}
}

func BenchmarkPost(b *testing.B) { benchmark(b, bench.Post, func(*bench.Config) {}) }

func BenchmarkPostPipelined(b *testing.B) {
	benchmark(b, bench.Post, func(c *bench.Config) { c.Depth = 16 })
}

func BenchmarkPostTen(b *testing.B) {
	benchmark(b, bench.Post, func(c *bench.Config) { c.Depth, c.PerPost = 4, 10 })
}

func BenchmarkClaim(b *testing.B) { benchmark(b, bench.Claim, func(*bench.Config) {}) }

func BenchmarkClaimOne(b *testing.B) {
	benchmark(b, bench.Claim, func(c *bench.Config) { c.Limit, c.Messages = 1, 50_000 })
}

func BenchmarkMixed(b *testing.B) { benchmark(b, bench.Mixed, func(*bench.Config) {}) }

func BenchmarkFanout(b *testing.B) { benchmark(b, bench.Fanout, func(*bench.Config) {}) }

func BenchmarkLatency(b *testing.B) {
	benchmark(b, bench.Latency, func(c *bench.Config) { c.Subscribers = 10 })
}

func BenchmarkIdle(b *testing.B) {
	benchmark(b, bench.Idle, func(c *bench.Config) { c.Connections = 2000 })
}
