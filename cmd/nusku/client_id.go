package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// userClientID is the Client-ID of the person who runs this program. A gateway leaves a client's own messages out of
// its lists unless they are asked for, so it has to stay the same from one command to the next: it is kept in the
// user's configuration folder (nusku/client-id). Where that cannot be, a new one serves.
func userClientID() uuid.UUID {
	dir, err := os.UserConfigDir()
	if err != nil {
		return uuid.New()
	}
	path := filepath.Join(dir, "nusku", "client-id")
	if text, err := os.ReadFile(path); err == nil {
		if id, err := uuid.Parse(strings.TrimSpace(string(text))); err == nil {
			return id
		}
	}
	id := uuid.New()
	if os.MkdirAll(filepath.Dir(path), 0o700) == nil {
		// Two first commands at once may write two ids; the later one stays.
		_ = writeWhole(path, id.String()+"\n")
	}
	return id
}
