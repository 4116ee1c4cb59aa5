package pools

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// A queue and its dead-letter queue get into one pool also when two gateways make them, or make one and tie the other to
// it, at the same time.
func TestDeadLetterQueueMadeAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.router(quick), w.router(quick)
	w.pool(one, "one", 100)
	w.pool(one, "two", 100)
	eventually(t, "the pools are known", func() bool { return len(two.openPools()) == 2 })
	tied := func(i int) []byte { return fmt.Appendf(nil, `{"_dead_letter_queue": "d%d", "_max_claim_count": 1}`, i) }
	ways := map[string]func(context.Context, protocol.QueueKey, int) error{
		"made": func(ctx context.Context, k protocol.QueueKey, i int) error {
			_, err := one.CreateQueue(ctx, k, tied(i))
			return err
		},
		"tied": func(ctx context.Context, k protocol.QueueKey, i int) error {
			_, err := one.UpdateQueue(ctx, k, func([]byte) ([]byte, error) { return tied(i), nil })
			if errors.Is(err, protocol.ErrDeadLetterPool) {
				return nil // it was too late, and is not tied
			}
			return err
		},
	}
	n := 0
	for name, tie := range ways {
		apart := 0
		for range 30 {
			n++
			a, d := key(fmt.Sprint("a", n)), key(fmt.Sprint("d", n))
			if name == "tied" {
				if _, err := one.CreateQueue(t.Context(), a, nil); err != nil {
					t.Fatal(err)
				}
			}
			var both sync.WaitGroup
			both.Go(func() { wantErr(t, "queue", tie(t.Context(), a, n), nil) })
			both.Go(func() { _, err := two.CreateQueue(t.Context(), d, nil); wantErr(t, "dead-letter queue", err, nil) })
			both.Wait()
			queue, err := one.Queue(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if string(queue.Metadata) == string(tied(n)) && w.where(one, a) != w.where(one, d) {
				apart++
			}
		}
		if apart > 0 {
			t.Errorf("%s: %d of 30 are apart from their dead-letter queues", name, apart)
		}
	}
}

// Where a dead-letter queue is in another pool nevertheless, other queues' dead letters are moved all the same.
func TestDeadLetterQueueElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(quick)
	pool, _ := w.pool(r, "pool", 0)
	bury := func(name, dead string) {
		k := key(name)
		metadata := fmt.Appendf(nil, `{"_dead_letter_queue": %q, "_max_claim_count": 1}`, dead)
		if _, err := r.catalogue.Place(t.Context(), k, metadata, pool); err != nil {
			t.Fatal(err)
		}
		w.post(r, k, "a")
		done := make(waiter)
		r.Claim(&protocol.ClaimOp{Queue: k, Limit: 1, TTL: 1, Grace: 1, Waiter: done})
		<-done
	}
	bury("a", "far")
	w.place(r, "far", 0)
	bury("b", "near")
	eventually(t, "the dead letter of the second queue", func() bool {
		list, err := r.Messages(t.Context(), key("near"), protocol.MessagePage{Limit: 1, Echo: true})
		return err == nil && len(list) == 1
	})
}
