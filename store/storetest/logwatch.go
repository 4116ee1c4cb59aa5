package storetest

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

const deadlockDetected = "40P01"

// logWatch reads the server's log events as they are written and notes the deadlocks.
type logWatch struct {
	print bool

	mu        sync.Mutex
	deadlocks []string
}

func newLogWatch() *logWatch {
	return &logWatch{print: os.Getenv("NUSKU_TEST_POSTGRES_LOG") != ""}
}

func (w *logWatch) Write(event []byte) (int, error) {
	if w.print {
		_, _ = os.Stderr.Write(event) // a log to look at, nothing depends on it
	}
	var fields struct{ SQLState, Message string }
	if err := json.Unmarshal(event, &fields); err == nil && fields.SQLState == deadlockDetected {
		w.mu.Lock()
		w.deadlocks = append(w.deadlocks, string(event))
		w.mu.Unlock()
	}
	return len(event), nil
}

func (w *logWatch) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.deadlocks) == 0 {
		return nil
	}
	return fmt.Errorf("PostgreSQL broke deadlocks, which the lock order rules out: %q", w.deadlocks)
}
