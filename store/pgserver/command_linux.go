package pgserver

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel send the child a signal when the thread that forks it ends. The caller stays locked to
// that thread (runtime.LockOSThread) for the life of the child.
func dieWithParent(cmd *exec.Cmd, signal syscall.Signal) {
	cmd.SysProcAttr.Pdeathsig = signal
}
