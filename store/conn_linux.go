package store

import (
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds for how long sent data may go unacknowledged before the connection counts as lost.
func setUserTimeout(fd uintptr, d time.Duration) error {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
