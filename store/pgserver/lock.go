package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// InUseError says that another gateway runs on the data folder.
type InUseError struct {
	DataDir string
	PID     int // the holder's process id, 0 when it could not be read
}

func (e *InUseError) Error() string {
	holder := "another gateway"
	if e.PID != 0 {
		holder = fmt.Sprintf("the gateway with process id %d", e.PID)
	}
	return fmt.Sprintf("the data folder %s is in use by %s: stop that one, or give this one its own with --data-dir", e.DataDir, holder)
}

// lockDataDir takes the lock of the data folder for as long as the returned file stays open. The kernel gives it back
// when the process ends, however it ends; children do not inherit it.
func lockDataDir(dataDir string) (*os.File, error) {
	path := filepath.Join(dataDir, "lock")
	// O_NOFOLLOW: a link planted under this name must not have root write elsewhere.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = writePID(file)
	} else if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &InUseError{DataDir: dataDir, PID: readPID(path)}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// unlockDataDir gives the lock back at once. Closing the file alone would not while a child that is just being started
// still has its copy of it.
func unlockDataDir(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	return nil
}

// readPID reads a process id from the first line of a file, 0 when there is none.
func readPID(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}
