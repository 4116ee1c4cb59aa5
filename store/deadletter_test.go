package store

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// deadLetterQueues makes a queue with a dead-letter queue.
func (w *world) deadLetterQueues(s *Store, metadata string) (key, dead protocol.QueueKey) {
	w.t.Helper()
	key, dead = newKey(), newKey()
	text := `{"_max_claim_count": 2, "_dead_letter_queue": "` + dead.Name + `"` + metadata + `}`
	if _, err := s.CreateQueue(w.t.Context(), key, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
	return key, dead
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, s *Store, claim *protocol.ClaimOp, key protocol.QueueKey){
		"claims released": func(w *world, s *Store, claim *protocol.ClaimOp, key protocol.QueueKey) {
			wantErr(w.t, "release", s.ReleaseClaim(w.t.Context(), key, claim.ClaimID), nil)
		},
		"claims expired": func(w *world, _ *Store, _ *protocol.ClaimOp, _ protocol.QueueKey) {
			w.exec(`UPDATE message SET claim_expires_at = now() - interval '1 s' WHERE claim_expires_at > now()`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, _, seen := w.storeWithWitness(nil)
			key, dead := w.deadLetterQueues(s, `, "_dead_letter_queue_messages_ttl": 500`)
			ids := w.postAll(s, key, []protocol.NewMessage{
				{Body: []byte(`"failing"`), TTL: 300}, {Body: []byte(`"fine"`), TTL: 300}, {Body: []byte{0xa1, 'x'}, TTL: 300, Codec: protocol.MessagePack},
			})
			<-seen.committed
			wantErr(t, "delete", remove(s, key, false, ids[1:2]), nil)
			for range 2 {
				claim := w.claim(s, key, 10)
				wantSeqs(t, "claim", claim.Messages, 1, 3)
				wantErr(t, "renew", s.RenewClaim(t.Context(), key, claim.ClaimID, 60, 60), nil) // counts for nothing
				end(w, s, claim, key)
			}
			if op := w.claim(s, key, 10); len(op.Messages) != 0 {
				t.Errorf("claimed%s a third time", seqsOf(op.Messages))
			}
			// They are in the dead-letter queue before that claim was answered, and its subscribers were told.
			told := <-seen.committed
			if told.Queue != dead || told.First != 1 || len(told.IDs) != 2 {
				t.Errorf("observer was told of %+v", told)
			}
			got, err := s.Messages(t.Context(), dead, protocol.MessagePage{Limit: 10, Echo: true})
			if err != nil || len(got) != 2 {
				t.Fatalf("dead letters: %+v, %v", got, err)
			}
			if string(got[0].Body) != `"failing"` || got[0].TTL != 500 || got[0].ClaimCount != 0 || got[0].ClientID != poster || got[1].Codec != protocol.MessagePack {
				t.Errorf("dead letters: %+v", got)
			}
			if len(told.Origins) != 2 || !bytes.Equal(told.Origins[0], got[0].Origin) {
				t.Errorf("observer was told of the origins %q", told.Origins)
			}
			var origin map[string]any
			if err := json.Unmarshal(got[0].Origin, &origin); err != nil {
				t.Fatal(err)
			}
			if origin["queue_name"] != key.Name || origin["message_id"] != ids[0].String() || origin["claim_count"] != 2.0 || origin["dead_lettered_at"] == "" {
				t.Errorf("origin %s", got[0].Origin)
			}
			if n := w.removed(ids[0].Queue); n != 3 {
				t.Errorf("%d messages counted as removed, want 3", n)
			}
			wantSeqs(t, "claim of dead letters", w.claim(s, dead, 5).Messages, 1, 2)
		})
	}
}

// Without a TTL of their own dead letters keep theirs, and the mover of the sweeper finds them without any claim. In an
// observed queue they leave tombstones.
func TestMoveDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	key, dead := w.deadLetterQueues(s, "")
	id := w.post(s, key, 3)[0].Queue
	if _, err := s.Head(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.claim(s, key, 3)
	w.exec(`UPDATE message SET claim_count = 2, claim_expires_at = now() - interval '1 s', expires_at = now() + interval '1000.5 s'`)
	w.exec(`UPDATE message SET claim_expires_at = now() + interval '1 h' WHERE seq = 2`)
	w.moveDeadLetters(s)
	got, err := s.Messages(t.Context(), dead, protocol.MessagePage{Limit: 10, Echo: true})
	if err != nil || len(got) != 2 || got[0].TTL < 900 || got[0].TTL > 1001 {
		t.Errorf("dead letters: %+v, %v", got, err)
	}
	page, err := s.Feed(t.Context(), key, id, 0, 10, 1<<20)
	wantErr(t, "feed", err, nil)
	wantSeqs(t, "feed", page.Messages, 1, 2, 3)
	w.moveDeadLetters(s)
	if got := w.stats(s, dead); got.Total != 2 {
		t.Errorf("after another pass there are %d dead letters", got.Total)
	}
}

// moveDeadLetters makes the sweeper's pass for dead letters.
func (w *world) moveDeadLetters(s *Store) {
	w.t.Helper()
	w.exec(`UPDATE lease SET until = now() WHERE holder <> $1`, s.GatewayID())
	sweeper := newSweeper(s)
	for more := true; more; {
		var err error
		if more, err = sweeper.deadLetters(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Messages of workers that are gone reach the dead-letter queue soon, though nobody claims or releases any more. The
// queues' metadata came through another gateway.
func TestDeadLettersOfWorkersThatAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("", sweeping)
	s := w.store("", still)
	key, dead := w.deadLetterQueues(s, "")
	w.post(s, key, 4)
	for range 2 {
		claim, done := startClaim(s, key, 4, 1, 60)
		<-done
		if len(claim.Messages) != 4 {
			t.Fatalf("claimed%s", seqsOf(claim.Messages))
		}
		w.await(0, `SELECT count(*) FROM message WHERE claim_expires_at > now()`)
	}
	w.post(s, key, 1)
	w.await(4, `SELECT count(*) FROM message m JOIN queue q ON q.id = m.queue_id WHERE q.name = $1`, dead.Name)
	if got := w.stats(s, key); got.Total != 1 {
		t.Errorf("%d messages left, want 1", got.Total)
	}
}

// A pass moves a bounded number of a queue's messages, and says that there are more; a queue that cannot be served
// keeps no other from it.
func TestDeadLettersAreMovedInPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	broken := newKey()
	_, err := s.CreateQueue(t.Context(), broken, []byte(`{"_max_claim_count": 2, "_dead_letter_queue": "a\u0000b"}`))
	wantErr(t, "create", err, nil)
	w.claim(s, broken, 5) // nothing
	w.post(s, broken, 1)
	w.claim(s, broken, 5)
	key, dead := w.deadLetterQueues(s, "")
	w.post(s, key, 1)
	w.claim(s, key, 1)
	w.exec(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body)
		SELECT (SELECT id FROM queue WHERE name = $1), i, now(), now() + interval '1 h', 60, '1' FROM generate_series(2, $2) i`, key.Name, buryMost+500)
	w.exec(`UPDATE queue_count SET claimed_upto = 100000`)
	w.exec(`UPDATE message SET claim_count = 2, claim_expires_at = now() - interval '1 s'`)
	sweeper := newSweeper(s)
	more, err := sweeper.deadLetters(t.Context())
	if err != nil || !more {
		t.Fatalf("more: %v, %v", more, err)
	}
	if n := w.stats(s, dead).Total; n != buryMost {
		t.Errorf("%d moved in one pass, want %d", n, buryMost)
	}
	w.moveDeadLetters(s)
	if n := w.stats(s, dead).Total; n != buryMost+500 {
		t.Errorf("%d moved in all, want %d", n, buryMost+500)
	}
}

// A queue that is its own dead-letter queue has none.
func TestDeadLetterQueueOfItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	_, err := s.CreateQueue(t.Context(), key, []byte(`{"_max_claim_count": 1, "_dead_letter_queue": "`+key.Name+`"}`))
	wantErr(t, "create", err, nil)
	w.post(s, key, 1)
	for range 3 {
		claim := w.claim(s, key, 1)
		wantSeqs(t, "claim", claim.Messages, 1)
		wantErr(t, "release", s.ReleaseClaim(t.Context(), key, claim.ClaimID), nil)
	}
}
