package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// orphanGrace is how long processes that lost their postmaster may take to notice it themselves.
const orphanGrace = time.Second

// clearLeftovers waits until no process works in the cluster, as a killed gateway or a killed postmaster leaves some
// behind. The caller holds the data folder's lock, so none of them serves a living gateway.
//
// A postmaster is told to stop fast (it may be doing so already: its death signal) and, past the timeout, at once.
// Processes without a postmaster get what it would have sent them. Each of these ends leaves a cluster that recovers.
func clearLeftovers(ctx context.Context, cfg Config, pgdata string) error {
	pidFile := filepath.Join(pgdata, "postmaster.pid")
	postmaster := readPID(pidFile)
	pids, err := processesIn(pgdata, postmaster)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return removeStalePIDFile(pidFile)
	}
	cfg.Log.Warn().Ints("pids", pids).Msg("a PostgreSQL server of an earlier gateway still runs here: waiting for its end")
	stages := []struct {
		signal   syscall.Signal
		patience time.Duration
	}{
		{syscall.SIGINT, cfg.LeftoverTimeout}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 10 * time.Second},
	}
	for _, stage := range stages {
		for _, pid := range pids {
			if pid == postmaster || stage.signal != syscall.SIGINT {
				_ = syscall.Kill(pid, stage.signal) // gone meanwhile is as good
			}
		}
		patience := stage.patience
		if stage.signal == syscall.SIGINT && postmasterOf(pids, postmaster) == 0 {
			patience = orphanGrace
		}
		if pids, err = awaitEmpty(ctx, pgdata, postmaster, patience); err != nil {
			return err
		}
		if len(pids) == 0 {
			return removeStalePIDFile(pidFile)
		}
	}
	return fmt.Errorf("processes %v still work on the cluster in %s: end them, then start the gateway again", pids, pgdata)
}

func postmasterOf(pids []int, postmaster int) int {
	for _, pid := range pids {
		if pid == postmaster {
			return pid
		}
	}
	return 0
}

// awaitEmpty waits until no process works in the cluster or the patience is at its end, and returns those that remain.
func awaitEmpty(ctx context.Context, pgdata string, postmaster int, patience time.Duration) ([]int, error) {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond) // they are not our children: there is no event to wait for
	defer tick.Stop()
	for {
		pids, err := processesIn(pgdata, postmaster)
		if err != nil || len(pids) == 0 {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return pids, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for an earlier PostgreSQL server to end: %w", context.Cause(ctx))
		}
	}
}

// removeStalePIDFile removes the pid file that a killed postmaster left, now that nothing works in the cluster.
// PostgreSQL would do it itself, but for one case: when that number has since been given to some other process of the
// account, which in containers is the rule, it would refuse to start.
func removeStalePIDFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}
