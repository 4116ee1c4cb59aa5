package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// The kernel's address of a Unix socket has room for 108 bytes, the last of them zero.
const (
	socketPort    = "5432"
	socketName    = ".s.PGSQL." + socketPort
	maxSocketPath = 107
)

// socketDir picks and makes the folder of the server's socket: run/ in the data folder, or, when the path is too long
// for a socket or holds a character that lists of folders and hosts give a meaning, a folder of unguessable name
// among the temporary files, noted in the data folder.
func socketDir(dataDir string, acct account) (string, error) {
	if err := removeOldSocketDir(dataDir); err != nil {
		return "", err
	}
	dir := filepath.Join(dataDir, "run")
	if fitsSocket(dir) {
		return dir, makeSocketDir(dir, acct)
	}
	dir, err := shortSocketDir()
	if err != nil {
		return "", err
	}
	if err := acct.own(dir); err != nil {
		return "", fmt.Errorf("give the socket's folder to %s: %w", acct.name, err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, "socket"), []byte(dir+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("note the socket's folder: %w", err)
	}
	return dir, nil
}

func fitsSocket(dir string) bool {
	return len(dir)+1+len(socketName) <= maxSocketPath && !strings.ContainsAny(dir, `,"'\@`+"\n")
}

func shortSocketDir() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		if !fitsSocket(filepath.Join(parent, "nusku-0123456789")) {
			continue
		}
		dir, err := os.MkdirTemp(parent, "nusku-") // 0700
		if err != nil {
			return "", fmt.Errorf("make the socket's folder: %w", err)
		}
		return dir, nil
	}
	return "", fmt.Errorf("no folder is short enough for a Unix socket (%d bytes): set TMPDIR to a short one", maxSocketPath)
}

// makeSocketDir makes the folder, or closes to others the one that is there.
func makeSocketDir(dir string, acct account) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the socket's folder: %w", err)
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("the socket's folder %s is not a folder", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close the socket's folder: %w", err)
	}
	if err := acct.own(dir); err != nil {
		return fmt.Errorf("give the socket's folder to %s: %w", acct.name, err)
	}
	return nil
}

// removeOldSocketDir removes the temporary folder that an earlier run noted and could not remove: the two files of a
// socket, then the folder if that leaves it empty. Nothing else is ever removed, whatever the note says.
func removeOldSocketDir(dataDir string) error {
	note := filepath.Join(dataDir, "socket")
	text, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read where the socket was: %w", err)
	}
	if dir := strings.TrimSpace(string(text)); strings.HasPrefix(filepath.Base(dir), "nusku-") {
		for _, path := range []string{filepath.Join(dir, socketName), filepath.Join(dir, socketName+".lock"), dir} {
			_ = os.Remove(path) // gone already, or not ours to remove
		}
	}
	return os.Remove(note)
}

// socketURL is the address of a database behind the socket in dir, for pgx and for psql.
func socketURL(dir, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(Superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {dir}, "port": {socketPort}}.Encode(),
	}
	return u.String()
}
