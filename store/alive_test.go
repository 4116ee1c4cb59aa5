package store

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Connections that the server has ended are replaced before they are used: who reads after a restart is not refused.
func TestPoolReplacesEndedConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	w.post(s, key, 1)
	var held []*pgxpool.Conn
	for range 4 {
		conn, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		pid := conn.Conn().PgConn().PID()
		conn.Release()
		// The second argument makes it wait until the backend is gone.
		if w.number(`SELECT pg_terminate_backend($1, 5000)::int`, pid) != 1 {
			t.Fatal("backend not ended")
		}
	}
	for i := range held {
		if _, err := s.Queue(t.Context(), key); err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
		s.HintQueueChanged(key) // so that the next one asks the database again
	}
}
