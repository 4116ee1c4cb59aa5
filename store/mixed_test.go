package store

import (
	"errors"
	"sync"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// Everything at once, on the same few queues, from two gateways: nothing fails, and PostgreSQL never has to break a
// deadlock (TestMain looks for that in the server's log).
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config := func(simple int) func(*Config) {
		return func(c *Config) {
			sweeping(c)
			patient(c)
			c.FlushSimpleQueues, c.FlushRows, c.PromotePoll = simple, 30, testPoll
		}
	}
	stores := []*Store{w.store("", config(0)), w.store("", config(100))}
	keys := make([]protocol.QueueKey, 6)
	for i := range keys {
		keys[i] = newKey()
		if _, err := stores[0].CreateQueue(t.Context(), keys[i], []byte(`{"_max_claim_count": 2, "_dead_letter_queue": "`+deadLetterName(keys, i)+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	const rounds = 60
	for n := range 12 {
		wg.Go(func() {
			s := stores[n%2]
			for i := range rounds {
				mixedStep(t, s, keys[(n+i)%len(keys)], keys[(n+i*5+1)%len(keys)], n%6, i)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		w.checkTotal(stores[0], key)
	}
}

// deadLetterName is the name of the key before the i-th, which is its dead-letter queue, or of none.
func deadLetterName(keys []protocol.QueueKey, i int) string {
	if i == 0 {
		return "dead"
	}
	return keys[i-1].Name
}

func mixedStep(t *testing.T, s *Store, key, other protocol.QueueKey, role, i int) {
	ctx := t.Context()
	var err error
	switch role {
	case 0, 1:
		for _, k := range []protocol.QueueKey{key, other} {
			p, done := newPost(k, "a", "b", "c")
			s.Post(p)
			<-done
			err = errors.Join(err, p.Err)
		}
	case 2:
		p, done := delayed(key, 0, 1, 0)
		s.Post(p)
		<-done
		err = p.Err
	case 3, 4:
		op := tryClaim(s, key, 5)
		if err = op.Err; err != nil || len(op.Messages) == 0 {
			break
		}
		if i%3 == 0 {
			err = s.ReleaseClaim(ctx, key, op.ClaimID)
		} else {
			err = remove(s, key, false, idsOf(op.Messages))
		}
	case 5:
		switch {
		case i%20 == 19:
			err = s.DeleteQueue(ctx, key)
		case i%7 == 6:
			err = s.PurgeQueue(ctx, key, true, false)
		case i%5 == 4:
			_, err = s.PopMessages(ctx, key, 3)
		default:
			if _, err = s.QueueStats(ctx, key); err == nil {
				_, err = s.Head(ctx, other) // observes it: deletes leave tombstones
			}
		}
	}
	// Queues, claims and messages come and go under everybody's feet.
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) && !errors.Is(err, protocol.ErrNoClaim) {
		t.Errorf("role %d, round %d: %v", role, i, err)
	}
}

// checkTotal compares the counted total, less what expired unseen, with what is there.
func (w *world) checkTotal(s *Store, key protocol.QueueKey) {
	w.t.Helper()
	stats, err := s.QueueStats(w.t.Context(), key)
	if errors.Is(err, protocol.ErrNoQueue) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	want, _, _ := w.slowStats(key)
	if stats.Total != want.Total {
		w.t.Errorf("queue %s counts %d messages and has %d", key.Name, stats.Total, want.Total)
	}
}
