package pgserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is one running postmaster.
type child struct {
	cmd    *exec.Cmd
	log    *serverLog
	exited chan struct{} // closed when it has ended and err is set
	err    error
}

// startChild forks a postmaster. The calling goroutine is locked to its thread and stays until the child has ended.
func (s *Server) startChild() (*child, error) {
	args := []string{"-D", s.pgdata}
	fixed := fixedSettings(s.cfg, s.socketDir)
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		args = append(args, "-c", name+"="+fixed[name])
	}
	c := &child{log: &serverLog{log: s.cfg.Log}, exited: make(chan struct{})}
	// The child outlives every request; it is ended by signals, never by a context.
	c.cmd = command(context.Background(), s.acct, s.pgdata, s.bin.path("postgres"), args...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.WaitDelay = time.Second // children of a killed postmaster hold its stderr open for a moment
	dieWithParent(c.cmd, syscall.SIGINT)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.running.Go(func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	})
	return c, nil
}

// awaitReady returns nil once the postmaster takes connections, and else says why it never will.
func (c *child) awaitReady(pgdata string, stopping <-chan struct{}) error {
	tick := time.NewTicker(5 * time.Millisecond) // the postmaster tells its progress by a file
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if c.ready(pgdata) {
				return nil
			}
		case <-c.exited:
			return fmt.Errorf("PostgreSQL ended while starting: %w\n%s", c.exitError(), c.log.tail())
		case <-stopping:
			return errStopping
		}
	}
}

var errStopping = errors.New("the server is being stopped")

// ready reads the status line of postmaster.pid (line 8; line 1 is the process id), as pg_ctl does.
func (c *child) ready(pgdata string) bool {
	text, err := os.ReadFile(filepath.Join(pgdata, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return len(lines) >= 8 && lines[0] == strconv.Itoa(c.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

// stop ends the postmaster: fast (sessions are cut, a checkpoint is made), and at once when cut is closed first, which
// the next start recovers from.
func (c *child) stop(cut <-chan struct{}) {
	_ = c.cmd.Process.Signal(syscall.SIGINT) // ended already is as good
	select {
	case <-c.exited:
		return
	case <-cut:
	}
	_ = c.cmd.Process.Signal(syscall.SIGQUIT)
	// PostgreSQL itself kills children that do not follow SIGQUIT within 5 s.
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-c.exited:
		return
	case <-timer.C:
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// exitError says how the postmaster ended; only after exited is closed.
func (c *child) exitError() error {
	if c.err == nil {
		return errors.New("exit status 0")
	}
	return c.err
}
