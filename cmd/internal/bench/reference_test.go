//go:build linux

package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
)

// startEchoHere serves echoes in this process.
func startEchoHere(t *testing.T) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeEcho(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "ws://" + l.Addr().String()
}

func TestEchoReferences(t *testing.T) {
	t.Parallel()
	cfg := small(startEchoHere(t))
	cfg.GatewayPID = os.Getpid()
	for name, measure := range map[string]func(context.Context, Config) (float64, error){"rate": EchoRate, "latency": EchoLatency} {
		if v, err := measure(t.Context(), cfg); err != nil || v <= 0 {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if _, err := EchoMemory(t.Context(), cfg); err != nil {
		t.Errorf("memory: %v", err)
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	values := []float64{10, 30}
	measure := func(context.Context) (float64, error) {
		v := values[0]
		values = values[1:]
		return v, nil
	}
	run := func() (*Result, error) { return &Result{PerSecond: 50}, nil }
	r, err := Beside(t.Context(), "what", "unit", measure, run, PerSecond)
	if err != nil || r.Reference.Before != 10 || r.Reference.After != 30 || r.Reference.Ratio != 2.5 {
		t.Errorf("reference %+v, %v", r.Reference, err)
	}
	failed := errors.New("no")
	if _, err := Beside(t.Context(), "", "", func(context.Context) (float64, error) { return 0, failed }, run, PerSecond); !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
}
