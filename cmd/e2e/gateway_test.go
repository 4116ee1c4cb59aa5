package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// gateway is a running nusku serve.
type gateway struct {
	url   string
	dir   string
	flags []string
	cmd   *exec.Cmd
	log   syncBuffer

	exited chan struct{} // closed when the process has ended, with
	err    error         // its error
}

// startGateway starts a gateway that keeps its data in dir and waits until it serves.
func startGateway(dir string, flags ...string) (*gateway, error) {
	return startGatewayIn(nil, dir, flags...)
}

// startGatewayIn is startGateway with more environment.
func startGatewayIn(env []string, dir string, flags ...string) (*gateway, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready")
	if err := os.RemoveAll(ready); err != nil { // of an earlier life
		return nil, err
	}
	g := &gateway{dir: dir, flags: flags, exited: make(chan struct{})}
	args := []string{"serve", "--listen=127.0.0.1:0", "--ready-file=" + ready, "--data-dir=" + g.dataDir(), "--log-format=json"}
	g.cmd = exec.Command(program, append(args, flags...)...)
	g.cmd.Stderr, g.cmd.Stdout = &g.log, &g.log
	// Should this process die, the gateway must end too.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NUSKU_") {
			g.cmd.Env = append(g.cmd.Env, e)
		}
	}
	g.cmd.Env = append(g.cmd.Env, env...)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the death signal comes when the thread that forked ends
		err := g.cmd.Start()
		started <- err
		if err == nil {
			g.err = g.cmd.Wait()
		}
		close(g.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return g, g.await(ready)
}

func (g *gateway) dataDir() string { return filepath.Join(g.dir, "data") }

// await waits until the gateway says where it serves.
func (g *gateway) await(ready string) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case <-look.C:
			if address, err := os.ReadFile(ready); err == nil {
				g.url = "ws://" + strings.TrimSpace(string(address))
				return nil
			}
		case <-g.exited:
			return fmt.Errorf("the gateway ended before it served: %w\n%s", g.err, g.log.String())
		case <-deadline.C:
			return errors.Join(fmt.Errorf("the gateway does not serve:\n%s", g.log.String()), g.terminate())
		}
	}
}

// terminate asks the gateway to end and waits for it. An error means that it did not end well.
func (g *gateway) terminate() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill()
		<-g.exited
		return fmt.Errorf("the gateway did not end:\n%s", g.log.String())
	}
	if g.err != nil {
		return fmt.Errorf("the gateway ended with %w:\n%s", g.err, g.log.String())
	}
	if report := g.log.String(); strings.Contains(report, "DATA RACE") {
		return fmt.Errorf("the race detector:\n%s", report)
	}
	return nil
}

// kill ends the gateway as a crash would.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	<-g.exited
}

// again starts a new gateway on the data of one that has ended.
func (g *gateway) again(t *testing.T) *gateway {
	t.Helper()
	next, err := startGateway(g.dir, g.flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.end(t) })
	return next
}

// end is terminate for a cleanup: one that has ended already, as the test wanted it, is fine.
func (g *gateway) end(t *testing.T) {
	select {
	case <-g.exited:
	default:
		if err := g.terminate(); err != nil {
			t.Error(err)
		}
	}
}

// own starts a gateway for this test alone.
func own(t *testing.T, flags ...string) *gateway {
	t.Helper()
	return ownIn(t, nil, flags...)
}

// ownIn is own with more environment.
func ownIn(t *testing.T, env []string, flags ...string) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp(shared.dir, "own-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := startGatewayIn(env, dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.end(t) })
	return g
}

// postmaster is the process of the gateway's PostgreSQL.
func (g *gateway) postmaster(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dataDir(), "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// children are the processes that parent has started.
func children(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(strings.Split(path, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// dial connects a client that is closed at the test's end.
func (g *gateway) dial(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	if o.Project == "" {
		o.Project = t.Name()
	}
	c, err := client.Dial(within(t), g.url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// allMessages lists a queue to its end, claimed messages too.
func allMessages(ctx context.Context, c *client.Client, queue string) ([]client.Message, error) {
	var all []client.Message
	page := client.MessagePage{Limit: 20, Echo: true, IncludeClaimed: true}
	for {
		next, err := c.Messages(ctx, queue, page)
		if err != nil || len(next) == 0 {
			return all, err
		}
		all = append(all, next...)
		page.Marker = next[len(next)-1].ID
	}
}

// syncBuffer is a buffer that a process writes while a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
