package storetest

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const dirPrefix = "nusku-test-"

// abandonedAfter keeps a folder that another process has just made, and not locked yet, from being taken for abandoned.
const abandonedAfter = 10 * time.Minute

// removeAbandoned removes the clusters of test runs that were killed before they could: those whose lock nobody holds.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // the only error is a bad pattern
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
			continue
		}
		if unlocked(filepath.Join(dir, "lock")) {
			_ = os.RemoveAll(dir) // only tidiness: the next run tries again
		}
	}
}

func unlocked(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // gives the lock back
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
