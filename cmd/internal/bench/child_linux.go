package bench

import "syscall"

// childAttributes let a child end with us, however we end, and keep a terminal's Ctrl-C from it: ending it in order is
// our business.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
