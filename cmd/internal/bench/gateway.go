package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// startTimeout is how long a gateway may take to make a cluster and serve.
	startTimeout = 2 * time.Minute
	// stopTimeout is how long it may take to end before it is killed.
	stopTimeout = time.Minute
)

// Gateway is a gateway that was started for a run: a process of its own, on a free port of the loopback interface, with
// an embedded PostgreSQL in a temporary folder. It is as durable as any other (fsync on).
type Gateway struct {
	// URL is where it serves, PID its process.
	URL string
	PID int

	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended, with
	err    error         // its error
}

// StartGateway runs `binary serve` with further args and waits until it serves.
func StartGateway(ctx context.Context, binary string, args ...string) (*Gateway, error) {
	return startChild(ctx, binary, func(dir, ready string) []string {
		return append([]string{
			"serve", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--ready-file", ready,
			"--log-format", "json", "--log-level", "warn",
		}, args...)
	})
}

// StartEcho runs `binary bench echo`, the raw reference, in the same way.
func StartEcho(ctx context.Context, binary string) (*Gateway, error) {
	return startChild(ctx, binary, func(_, ready string) []string { return []string{"bench", "echo", "--ready-file", ready} })
}

// startChild runs binary with args, which get a temporary folder and the file that the child writes its address to.
func startChild(ctx context.Context, binary string, args func(dir, ready string) []string) (*Gateway, error) {
	dir, err := os.MkdirTemp("", "nusku-bench-")
	if err != nil {
		return nil, err
	}
	// PostgreSQL runs under another account when we are root: it has to get through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ready := filepath.Join(dir, "ready")
	g := &Gateway{dir: dir, exited: make(chan struct{})}
	g.cmd = exec.Command(binary, args(dir, ready)...) // not CommandContext: ending it in order is Stop's
	g.cmd.Env = withoutSettings(os.Environ())
	if err := g.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", binary, err), os.RemoveAll(dir))
	}
	address, err := g.await(ctx, ready)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a gateway: %w", err), g.Stop())
	}
	g.URL = "ws://" + address
	return g, nil
}

// start starts the process. The goroutine that waits for it stays on one thread: the kernel tells a child of its
// parent's death when the thread that started it ends.
func (g *Gateway) start() error {
	log, err := os.Create(g.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	g.cmd.Stderr = log
	g.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := g.cmd.Start()
		started <- err
		if err == nil {
			g.err = g.cmd.Wait()
		}
		close(g.exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	g.PID = g.cmd.Process.Pid
	return nil
}

func (g *Gateway) logFile() string { return filepath.Join(g.dir, "log") }

// await waits for the file that says that the gateway serves, and returns the address in it.
func (g *Gateway) await(ctx context.Context, ready string) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if b, err := os.ReadFile(ready); err == nil {
				return strings.TrimSpace(string(b)), nil
			}
		case <-g.exited:
			log, _ := os.ReadFile(g.logFile())
			return "", fmt.Errorf("it ended: %w\n%s", errors.Join(errors.New("before it served"), g.err), log)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// Stop ends the gateway in order, by force if that takes too long, and removes its folder. An error tells what it said
// for itself if it did not end well.
func (g *Gateway) Stop() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	var err error
	select {
	case <-g.exited:
	case <-timer.C:
		_ = g.cmd.Process.Kill()
		<-g.exited
	}
	if g.err != nil {
		log, _ := os.ReadFile(g.logFile())
		err = fmt.Errorf("the gateway: %w\n%s", g.err, log)
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// withoutSettings leaves out what would configure a gateway: the caller's settings are not meant for this one.
func withoutSettings(environment []string) []string {
	var rest []string
	for _, e := range environment {
		if !strings.HasPrefix(e, "NUSKU_") {
			rest = append(rest, e)
		}
	}
	return rest
}
