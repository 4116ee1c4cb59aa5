//go:build !linux

package bench

import "syscall"

// childAttributes has nothing to offer here.
func childAttributes() *syscall.SysProcAttr { return nil }
