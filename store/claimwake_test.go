package store

import (
	"testing"
	"time"
)

// A claim that waits for the next search from the head gets what is posted meanwhile at once.
func TestPostWakesAWaitingClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	w.post(s, key, 1)
	w.claim(s, key, 1)
	q := s.claims.queues[key]
	// until returns, with the claimer's lock held, when the queue is in that state.
	until := func(state func() bool) {
		s.claims.mu.Lock()
		for !state() {
			s.claims.mu.Unlock()
			s.claims.mu.Lock()
		}
	}
	until(q.resting)
	q.pausedTo, q.rescanAt = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
	s.claims.mu.Unlock()

	op, done := startClaim(s, key, 5, 60, 60)
	until(func() bool { return len(q.waiting) == 1 && !q.running && !q.queued })
	s.claims.mu.Unlock()
	w.post(s, key, 2)
	<-done
	wantSeqs(t, "claim of what was posted while it waited", op.Messages, 2, 3)
}
