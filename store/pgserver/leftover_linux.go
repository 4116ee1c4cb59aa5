package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// processesIn lists the processes whose working folder is the cluster: every process of a PostgreSQL server has it, and
// hardly anything else does. The postmaster's number from a pid file is no proof by itself, since numbers are used again.
func processesIn(pgdata string, _ int) ([]int, error) {
	real, err := filepath.EvalSymlinks(pgdata)
	if err != nil {
		return nil, fmt.Errorf("look for leftover processes: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for leftover processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Not readable: another account's process, or one that has just ended. A zombie has no folder either.
		cwd, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || cwd != real {
			continue
		}
		// A person's shell in that folder is none of ours.
		if exe, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe")); err == nil && isServerProgram(exe) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isServerProgram says whether the path is PostgreSQL's server; an upgrade under its feet adds " (deleted)".
func isServerProgram(exe string) bool {
	name := filepath.Base(exe)
	return name == "postgres" || name == "postgres (deleted)"
}
