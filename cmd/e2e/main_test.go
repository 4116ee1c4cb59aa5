package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// buildFlags are the flags that the binary is built with.
var buildFlags []string

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nusku-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o711) // for the account that runs PostgreSQL when we are root
	}
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared.dir = dir
	code := m.Run()
	if err := errors.Join(shared.stop(), os.RemoveAll(dir)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// build makes the binary, unless one is given.
func build(dir string) error {
	if program = os.Getenv("NUSKU_E2E_BINARY"); program != "" {
		return nil
	}
	program = filepath.Join(dir, "nusku")
	args := append([]string{"build"}, buildFlags...)
	out, err := exec.Command("go", append(args, "-o", program, "../nusku")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// sharedGateways are started when they are first used and live until all tests are over.
type sharedGateways struct {
	dir string
	mu  sync.Mutex
	all map[string]*gateway
}

var shared sharedGateways

// sharedGateway returns a gateway that several tests use: one with the default settings, or one with short times.
func sharedGateway(t *testing.T, name string, flags ...string) *gateway {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if g := shared.all[name]; g != nil {
		return g
	}
	g, err := startGateway(filepath.Join(shared.dir, name), flags...)
	if err != nil {
		t.Fatal(err)
	}
	if shared.all == nil {
		shared.all = map[string]*gateway{}
	}
	shared.all[name] = g
	return g
}

// stop ends the shared gateways, which must end well.
func (s *sharedGateways) stop() error {
	var errs []error
	for name, g := range s.all {
		if err := g.terminate(); err != nil {
			errs = append(errs, fmt.Errorf("gateway %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// defaults is the gateway with the default settings.
func defaults(t *testing.T) *gateway { return sharedGateway(t, "defaults") }

// shortTimes is a gateway on which claims may last a second and sessions are given up soon.
func shortTimes(t *testing.T) *gateway {
	return sharedGateway(t, "short", "--min-claim-ttl=1", "--min-claim-grace=0", "--claim-grace=0",
		"--frame-timeout=1s", "--write-timeout=2s", "--ping-interval=1s", "--pong-timeout=2s")
}

// patience bounds every wait of a test; the race detector and a busy machine make things slow.
const patience = 90 * time.Second

// within is a context for everything that a test waits for.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
