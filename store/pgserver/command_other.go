//go:build unix && !linux

package pgserver

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing: this system has no signal for a parent's death. A server that outlives its gateway is
// found at the next start.
func dieWithParent(*exec.Cmd, syscall.Signal) {}
