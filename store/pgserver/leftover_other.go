//go:build unix && !linux

package pgserver

import (
	"fmt"
	"syscall"
)

// processesIn trusts the pid file, as there is no /proc to see who works in the folder. Because a number may have been
// given to another program since, it never lets one be signalled: it asks the person to.
func processesIn(pgdata string, postmaster int) ([]int, error) {
	if postmaster == 0 || syscall.Kill(postmaster, 0) == syscall.ESRCH {
		return nil, nil
	}
	return nil, fmt.Errorf("process %d may be a PostgreSQL server that still runs on %s: if it is, stop it with kill -INT %d; "+
		"if it is not, remove postmaster.pid there", postmaster, pgdata, postmaster)
}
