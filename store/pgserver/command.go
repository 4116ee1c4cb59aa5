package pgserver

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// command prepares a program of PostgreSQL to run as the account, in folder dir.
//
// It gets a session of its own: Ctrl-C in a terminal goes to the whole process group, and the server must outlive the
// gateway's drain. Of the environment it gets only what finds programs and libraries: the gateway's secrets, a service
// manager's sockets and variables that steer PostgreSQL elsewhere are none of its business.
func command(ctx context.Context, acct account, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = environment(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: acct.credential(), Setsid: true}
	return cmd
}

func environment(env []string) []string {
	kept := []string{"LC_ALL=C", "TZ=UTC"}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME":
			kept = append(kept, entry)
		}
	}
	return kept
}
