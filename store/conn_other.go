//go:build !linux

package store

import "time"

// setUserTimeout does nothing where there is no TCP_USER_TIMEOUT: keepalives and the flusher's deadline remain.
func setUserTimeout(uintptr, time.Duration) error { return nil }
