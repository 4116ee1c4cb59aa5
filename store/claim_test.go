package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestClaimShowsWhatTheWireShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	w.postAll(s, key, []protocol.NewMessage{
		{Body: []byte(`{"event":1}`), TTL: 300}, {Body: []byte(`"two"`), TTL: 60, Codec: protocol.MessagePack},
	})
	op, done := startClaim(s, key, 5, 100, 60)
	<-done
	if op.Err != nil || op.ClaimID == "" || len(op.Messages) != 2 {
		t.Fatalf("claim %q of %d messages, error %v", op.ClaimID, len(op.Messages), op.Err)
	}
	one, two := op.Messages[0], op.Messages[1]
	if string(one.Body) != `{"event":1}` || one.TTL != 300 || one.Age != 0 || one.ClaimCount != 0 || one.ClaimID != op.ClaimID || one.ClientID != poster {
		t.Errorf("first message: %+v", one)
	}
	// It would have expired before the claim: it lives for the claim and its grace.
	if two.TTL != 160 || two.Codec != protocol.MessagePack {
		t.Errorf("second message: %+v", two)
	}
	claim, err := s.ClaimByID(ctx, key, op.ClaimID)
	if err != nil || claim.TTL != 100 || claim.Age != 0 || len(claim.Messages) != 2 || claim.Messages[1].ClaimID != op.ClaimID {
		t.Fatalf("claim by id: %+v, %v", claim, err)
	}
	wantErr(t, "renew", s.RenewClaim(ctx, key, op.ClaimID, 200, 70), nil)
	claim, err = s.ClaimByID(ctx, key, op.ClaimID)
	if err != nil || claim.TTL != 200 || claim.Messages[0].TTL != 300 || claim.Messages[1].TTL != 270 {
		t.Fatalf("claim after renewal: %+v, %v", claim, err)
	}
	if n := w.number(`SELECT max(claim_count) FROM message`); n != 1 {
		t.Errorf("claim count after renewal is %d, want 1", n)
	}
	wantErr(t, "release", s.ReleaseClaim(ctx, key, op.ClaimID), nil)
	wantErr(t, "release again", s.ReleaseClaim(ctx, key, op.ClaimID), nil)
	_, err = s.ClaimByID(ctx, key, op.ClaimID)
	wantErr(t, "claim by id after release", err, protocol.ErrNoClaim)
	wantErr(t, "renew after release", s.RenewClaim(ctx, key, op.ClaimID, 60, 60), protocol.ErrNoClaim)
	if again := w.claim(s, key, 5); len(again.Messages) != 2 || again.Messages[0].ClaimCount != 1 {
		t.Errorf("second claim: %+v", again.Messages)
	}
}

func TestClaimOfMissingQueueIsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	if op := w.claim(s, key, 1); len(op.Messages) != 0 || op.ClaimID != "" {
		t.Errorf("claimed %+v", op)
	}
	_, err := s.ClaimByID(t.Context(), key, "nope")
	wantErr(t, "claim by id", err, protocol.ErrNoClaim)
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, "nope"), nil)
}

// Requests that wait together are served by one statement, in their order, each with its own TTL, grace and id.
func TestClaimsAreDealtInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.Workers = 1 }), newKey()
	w.post(s, key, 10)
	other := newKey()
	w.post(s, other, 1)
	// While the only worker is held by a lock on the other queue's resolution, the requests gather.
	release := w.holdWorker(s, other)
	a, doneA := startClaim(s, key, 3, 60, 60)
	b, doneB := startClaim(s, key, 4, 120, 60)
	c, doneC := startClaim(s, key, 20, 180, 60)
	d, doneD := startClaim(s, key, 1, 60, 60)
	release()
	for _, done := range []told{doneA, doneB, doneC, doneD} {
		<-done
	}
	wantSeqs(t, "first", a.Messages, 1, 2, 3)
	wantSeqs(t, "second", b.Messages, 4, 5, 6, 7)
	wantSeqs(t, "third", c.Messages, 8, 9, 10)
	wantSeqs(t, "fourth", d.Messages)
	for i, op := range []*protocol.ClaimOp{a, b, c} {
		claim, err := s.ClaimByID(t.Context(), key, op.ClaimID)
		if err != nil || claim.TTL != int32(60*(i+1)) || seqsOf(claim.Messages) != seqsOf(op.Messages) {
			t.Errorf("claim %d: %+v, %v", i, claim, err)
		}
	}
	if n := w.number(`SELECT count(DISTINCT claimed_at) FROM message WHERE queue_id = $1`, a.Messages[0].ID.Queue); n != 1 {
		t.Errorf("%d statements claimed, want 1", n)
	}
}

// holdWorker occupies a claims worker until the returned function is called.
func (w *world) holdWorker(s *Store, key protocol.QueueKey) (release func()) {
	w.t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(told)
	s.Claim(&protocol.ClaimOp{Queue: key, Limit: 1, TTL: 60, Grace: 60, Waiter: done, Abandoned: func() bool {
		select {
		case <-entered:
		default:
			close(entered)
		}
		<-leave
		return false
	}})
	<-entered
	return func() { close(leave); <-done }
}

// "Nothing" is never answered from the floor: each of these makes messages below it free again.
func TestNothingIsNeverAnsweredFromTheFloor(t *testing.T) {
	t.Parallel()
	for name, free := range map[string]func(w *world, s *Store, key protocol.QueueKey, claimID string){
		"expiry": func(w *world, _ *Store, _ protocol.QueueKey, _ string) {
			w.exec(`UPDATE message SET claim_expires_at = now() - interval '1 s' WHERE seq <= 3`)
		},
		"release here": func(w *world, s *Store, key protocol.QueueKey, claimID string) {
			wantErr(w.t, "release", s.ReleaseClaim(w.t.Context(), key, claimID), nil)
		},
		"release elsewhere": func(w *world, _ *Store, key protocol.QueueKey, claimID string) {
			wantErr(w.t, "release", w.store("", nil).ReleaseClaim(w.t.Context(), key, claimID), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, key := w.store("", nil), newKey()
			w.post(s, key, 6)
			first := w.claim(s, key, 3)
			w.claim(s, key, 3)
			if op := w.claim(s, key, 3); len(op.Messages) != 0 {
				t.Fatalf("claimed%s twice", seqsOf(op.Messages))
			}
			free(w, s, key, first.ClaimID)
			wantSeqs(t, "claim of what became free", w.claim(s, key, 3).Messages, 1, 2, 3)
		})
	}
}

// A release is found at once although there is more above the floor.
func TestReleaseLowersTheFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, seen := w.storeWithWitness(nil)
	other := w.store("", func(c *Config) { c.Claims.Rescan = time.Hour })
	w.post(s, key, 100)
	first := w.claim(s, key, 3)
	w.claim(other, key, 3)
	w.claim(other, key, 3)
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, first.ClaimID), nil)
	if seq := <-seen.released; seq != 1 {
		t.Errorf("released from %d on, want 1", seq)
	}
	other.HintReleased(first.Messages[0].ID.Queue, 1)
	wantSeqs(t, "claim elsewhere after the hint", w.claim(other, key, 3).Messages, 1, 2, 3)
}

// A release while a claim is under way counts, although that claim looked further on.
func TestReleaseDuringAClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := storetest.NewProxy(t, w.url)
	s, key := w.store(proxy.URL(), func(c *Config) { c.Claims.Rescan = time.Hour }), newKey()
	w.post(s, key, 100)
	first := w.claim(s, key, 3)
	w.claim(s, key, 1) // the rescan that the first claim of a queue is, is over
	held, let := proxy.HoldSync(storetest.Match{SQL: "claim_first = c.first"})
	second, done := startClaim(s, key, 3, 300, 60)
	<-held
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, first.ClaimID), nil)
	let()
	<-done
	wantSeqs(t, "claim that was under way", second.Messages, 5, 6, 7)
	wantSeqs(t, "claim after it", w.claim(s, key, 3).Messages, 1, 2, 3)
}

func (w *world) storeWithWitness(edit func(*Config)) (*Store, protocol.QueueKey, *witness) {
	w.t.Helper()
	seen := newWitness()
	cfg := DefaultConfig()
	cfg.DatabaseURL = w.url
	if edit != nil {
		edit(&cfg)
	}
	s := w.openWith(cfg, seen)
	return s, newKey(), seen
}

func TestAbandonedClaimIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*protocol.ClaimOp){
		"abandoned": func(op *protocol.ClaimOp) {
			asked := false
			op.Abandoned = func() bool { was := asked; asked = true; return was } // after it was claimed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, key, seen := w.storeWithWitness(nil)
			w.post(s, key, 3)
			done := make(told)
			op := &protocol.ClaimOp{Queue: key, Limit: 3, TTL: 300, Grace: 60, Waiter: done}
			spoil(op)
			s.Claim(op)
			<-done
			wantErr(t, "claim", op.Err, protocol.ErrUnavailable)
			<-seen.released
			again := w.claim(s, key, 3)
			wantSeqs(t, "claim of what was given back", again.Messages, 1, 2, 3)
			if again.Messages[0].ClaimCount != 0 {
				t.Errorf("a claim that nobody got counts: %d", again.Messages[0].ClaimCount)
			}
		})
	}
}

func TestClaimDeadlinePassesWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.Workers = 1 }), newKey()
	w.post(s, key, 1)
	release := w.holdWorker(s, newKey())
	done := make(told)
	op := &protocol.ClaimOp{Queue: key, Limit: 1, TTL: 60, Grace: 60, Waiter: done, Deadline: time.Now().Add(10 * time.Millisecond)}
	s.Claim(op)
	<-done // while the worker stands still
	wantErr(t, "claim", op.Err, protocol.ErrUnavailable)
	release()
	wantSeqs(t, "claim after it", w.claim(s, key, 1).Messages, 1)
}

func TestClaimWaitingIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.Workers, c.Claims.Waiting = 1, 2 }), newKey()
	release := w.holdWorker(s, newKey())
	_, doneA := startClaim(s, key, 1, 60, 60)
	_, doneB := startClaim(s, key, 1, 60, 60)
	wantErr(t, "third", tryClaim(s, key, 1).Err, protocol.ErrOverloaded)
	release()
	<-doneA
	<-doneB
	wantErr(t, "after it", tryClaim(s, key, 1).Err, nil)
}

// One statement takes at most so many bytes, but one message always.
func TestClaimBytesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.Bytes = 2500 }), newKey()
	body := []byte(`"` + strings.Repeat("x", 998) + `"`)
	large := []byte(`"` + strings.Repeat("x", 4998) + `"`)
	w.postAll(s, key, []protocol.NewMessage{{Body: body, TTL: 60}, {Body: body, TTL: 60}, {Body: body, TTL: 60}, {Body: large, TTL: 60}})
	wantSeqs(t, "first", w.claim(s, key, 10).Messages, 1, 2)
	wantSeqs(t, "second", w.claim(s, key, 10).Messages, 3)
	wantSeqs(t, "third", w.claim(s, key, 10).Messages, 4)
}

func TestClaimAfterPurgeAndDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, other, key, ctx := w.store("", nil), w.store("", nil), newKey(), context.Background()
	w.post(s, key, 3)
	before := w.claim(s, key, 1)
	w.claim(other, key, 1)
	wantErr(t, "purge", s.PurgeQueue(ctx, key, true, false), nil)
	if op := w.claim(other, key, 5); len(op.Messages) != 0 {
		t.Errorf("claimed purged%s", seqsOf(op.Messages))
	}
	_, err := s.ClaimByID(ctx, key, before.ClaimID)
	wantErr(t, "claim of purged messages", err, protocol.ErrNoClaim)
	wantErr(t, "renewal of purged messages", s.RenewClaim(ctx, key, before.ClaimID, 60, 60), protocol.ErrNoClaim)
	w.post(s, key, 1)
	wantSeqs(t, "claim after the purge", w.claim(other, key, 5).Messages, 4)

	// The other gateway still has the old queue in its cache.
	wantErr(t, "delete queue", s.DeleteQueue(ctx, key), nil)
	if op := w.claim(other, key, 5); len(op.Messages) != 0 {
		t.Errorf("claimed%s of a deleted queue", seqsOf(op.Messages))
	}
	w.post(s, key, 2)
	wantSeqs(t, "claim from the queue made again", w.claim(other, key, 5).Messages, 1, 2)
}

func TestClaimIDIsGoodOnlyForItsQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, one, two, ctx := w.store("", nil), newKey(), newKey(), t.Context()
	w.post(s, one, 1)
	w.post(s, two, 1)
	claim := w.claim(s, one, 1)
	_, err := s.ClaimByID(ctx, two, claim.ClaimID)
	wantErr(t, "claim by id", err, protocol.ErrNoClaim)
	wantErr(t, "renew", s.RenewClaim(ctx, two, claim.ClaimID, 60, 60), protocol.ErrNoClaim)
	wantErr(t, "release", s.ReleaseClaim(ctx, two, claim.ClaimID), nil)
	wantErr(t, "release in a missing queue", s.ReleaseClaim(ctx, newKey(), claim.ClaimID), nil)
	_, err = s.ClaimByID(ctx, one, claim.ClaimID)
	wantErr(t, "claim by id in its queue", err, nil)
}

// A wide range without messages takes few statements, and what lies behind it is found.
func TestClaimBehindAWideHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	id := w.post(s, key, 1)[0].Queue
	w.exec(`UPDATE queue_seq SET next_seq = 1000000000000 WHERE id = $1`, id)
	w.post(s, key, 1)
	wantSeqs(t, "claim of both", w.claim(s, key, 1).Messages, 1)
	wantSeqs(t, "claim behind the hole", w.claim(s, key, 2).Messages, 1000000000000)
}

func TestClaimedUptoBoundsTheClaimedNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	id := w.post(s, key, 5)[0].Queue
	for range 4 {
		w.claim(s, key, 1)
	}
	bound := w.number(`SELECT max(claimed_upto) FROM queue_count WHERE queue_id = $1`, id)
	if bound < 4 || bound > 4+claimStride {
		t.Errorf("claimed_upto is %d", bound)
	}
	wantErr(t, "purge", s.PurgeQueue(t.Context(), key, true, false), nil)
	w.post(s, key, 1)
	w.claim(s, key, 1)
	bound = w.number(`SELECT COALESCE(max(n.claimed_upto), 0) FROM queue_count n JOIN queue_seq c ON c.id = n.queue_id
		WHERE n.queue_id = $1 AND n.epoch = c.purge_epoch`, id)
	if bound < 6 {
		t.Errorf("claimed_upto in the new epoch is %d, want 6 or more", bound)
	}
}
