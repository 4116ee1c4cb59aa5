//go:build linux

package bench

import (
	"context"
	"strings"
	"testing"
	"time"
)

// small is a run that takes a fraction of a second.
func small(url string) Config {
	cfg := Default()
	cfg.URL, cfg.Connections, cfg.Depth, cfg.PerPost, cfg.BodyBytes = url, 4, 2, 2, 64
	cfg.Warmup, cfg.Duration, cfg.Settle = 60*time.Millisecond, 120*time.Millisecond, 60*time.Millisecond
	cfg.Messages, cfg.Limit, cfg.Subscribers, cfg.Rate = 400, 5, 8, 200
	return cfg
}

type runFunc func(context.Context, Config) (*Result, error)

// TestRuns: against a gateway without fault every mode finds none, in both dialects.
func TestRuns(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]runFunc{
		"post": Post, "claim": Claim, "mixed": Mixed, "fanout": Fanout, "latency": Latency,
		"claim one at a time": func(ctx context.Context, cfg Config) (*Result, error) {
			cfg.Limit = 1
			return Claim(ctx, cfg)
		},
	} {
		for _, zaqar := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cfg := small(startFake(t, ""))
				cfg.Zaqar = zaqar
				result, err := run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if result.ViolationCount != 0 {
					t.Errorf("found %q", result.Violations)
				}
				if result.Count == 0 || result.PerSecond <= 0 || result.Seconds <= 0 || len(result.Checks) == 0 {
					t.Errorf("nothing was measured or checked: %+v", result)
				}
				if len(result.Latency) == 0 {
					t.Error("no latencies")
				}
			})
		}
	}
}

// TestFaultsAreFound: a gateway that does something wrong is found out.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault, says string
		run         runFunc
	}{
		{faultLoses, "statistics", Post},
		{faultRefuses, "answered 503", Post},
		{faultTooFewIDs, "answered with 1 ids", Post},
		{faultTwice, "claimed twice", Claim},
		{faultKeeps, "statistics", Claim},
		{faultSkips, "instead of message", Fanout},
		{faultReorders, "instead of message", Fanout},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			result, err := test.run(t.Context(), small(startFake(t, test.fault)))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(result.Violations, "\n"), test.says) {
				t.Errorf("a gateway that %s: found %q", test.fault, result.Violations)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cfg := small(startFake(t, ""))
	cfg.Duration = time.Hour
	if _, err := Post(ctx, cfg); err == nil {
		t.Error("it ran to its end")
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no connections": func(c *Config) { c.Connections = 0 },
		"TLS":            func(c *Config) { c.URL = "wss://localhost" },
		"tiny body":      func(c *Config) { c.BodyBytes = 1 },
	} {
		cfg := small("ws://127.0.0.1:1")
		change(&cfg)
		if _, err := Post(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
