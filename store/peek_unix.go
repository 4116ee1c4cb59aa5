//go:build unix

package store

import (
	"errors"
	"syscall"
)

// nothingToRead says whether a socket is open and has neither data nor its end waiting to be read.
func nothingToRead(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n <= 0 && (errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR))
}
