package store

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// The answers of message_delete as the wire record shows them.
func TestDeleteIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	ids := w.post(s, key, 4)
	one := w.claim(s, key, 2).ClaimID // messages 1 and 2
	two := w.claim(s, key, 1).ClaimID // message 3
	gone := protocol.MessageID{Queue: ids[0].Queue, N: 99}
	try := func(what string, id protocol.MessageID, want error, claims ...string) {
		t.Helper()
		wantErr(t, what, remove(s, key, true, []protocol.MessageID{id}, claims...), want)
	}
	try("claimed, no claim given", ids[0], protocol.ErrClaimed)
	try("claimed, no claim id", ids[0], protocol.ErrNoClaim, "nope")
	try("claimed, another's claim", ids[0], protocol.ErrNotClaimedBy, two)
	try("claimed, its claim", ids[0], nil, one)
	try("deleted, its claim", ids[0], nil, one)
	try("no such message", gone, nil)
	try("no such message, with a claim", gone, nil, one)
	try("not claimed, with a claim", ids[3], protocol.ErrNotClaimed, two)
	try("not claimed, no claim id", ids[3], protocol.ErrNoClaim, "nope")
	wantErr(t, "release", s.ReleaseClaim(ctx, key, one), nil)
	try("released, its claim", ids[1], protocol.ErrNotClaimed, one)
	try("claimed, a claim that is gone", ids[2], protocol.ErrNoClaim, one)
	try("not claimed, no claim given", ids[3], nil)
	w.exec(`UPDATE message SET claim_expires_at = now() - interval '1 s' WHERE seq = 3`)
	try("expired claim", ids[2], protocol.ErrNotClaimed, two)
	if n := w.number(`SELECT count(*) FROM message`); n != 2 {
		t.Errorf("%d messages left, want 2", n)
	}
	if n := w.removed(ids[0].Queue); n != 2 {
		t.Errorf("%d messages counted as removed, want 2", n)
	}
	wantErr(t, "missing queue", remove(s, newKey(), true, ids), nil)
}

func TestDeleteMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	ids := w.post(s, key, 6)
	claim := w.claim(s, key, 2)
	other := w.claim(s, key, 1)
	wantErr(t, "fenced with some of the claims", remove(s, key, true, ids[:4], claim.ClaimID), protocol.ErrNotClaimedBy)
	// What could be deleted is; the error is that of the first id that could not.
	wantErr(t, "fenced with both claims", remove(s, key, true, ids[:4], claim.ClaimID, other.ClaimID), protocol.ErrNotClaimed)
	wantErr(t, "not fenced", remove(s, key, false, ids), nil)
	wantErr(t, "not fenced, again", remove(s, key, false, ids), nil)
	if n := w.number(`SELECT count(*) FROM message`); n != 0 {
		t.Errorf("%d messages left", n)
	}
	if n := w.removed(ids[0].Queue); n != 6 {
		t.Errorf("%d messages counted as removed, want 6", n)
	}
}

// An id names its queue, so no queue's name deletes another's messages.
func TestDeleteOnlyFromTheQueueNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, one, two := w.store("", nil), newKey(), newKey()
	ids := w.post(s, one, 1)
	w.post(s, two, 1)
	wantErr(t, "by another queue's name", remove(s, two, false, ids), nil)
	if n := w.number(`SELECT count(*) FROM message`); n != 2 {
		t.Errorf("%d messages left, want 2", n)
	}
}

// A gateway whose cache still has the old queue deletes from the one made again.
func TestDeleteFromQueueMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, other, key := w.store("", nil), w.store("", nil), newKey()
	w.post(s, key, 1)
	w.claim(other, key, 1)
	wantErr(t, "delete queue", s.DeleteQueue(t.Context(), key), nil)
	ids := w.post(s, key, 1)
	wantErr(t, "delete", remove(other, key, false, ids), nil)
	if n := w.number(`SELECT count(*) FROM message WHERE queue_id = $1`, ids[0].Queue); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

// lockRow locks a message as a stalled transaction would, until the returned function is called.
func (w *world) lockRow(id protocol.MessageID) (release func()) {
	w.t.Helper()
	tx, err := w.db.BeginTx(context.Background(), pgx.TxOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var seq int64
	err = tx.QueryRow(context.Background(), `SELECT seq FROM message WHERE queue_id = $1 AND seq = $2 FOR UPDATE`, id.Queue, id.N).Scan(&seq)
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			w.t.Error(err)
		}
	}
}

func TestDeleteOfLockedMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", func(c *Config) { c.Claims.DeleteRetries = 3 }), newKey()
	patient := w.store("", func(c *Config) { c.Claims.DeleteRetries = 1000 })
	ids := w.post(s, key, 3)
	release := w.lockRow(ids[1])
	wantErr(t, "while it is locked", remove(s, key, false, ids), protocol.ErrUnavailable)
	if n := w.number(`SELECT count(*) FROM message`); n != 1 {
		t.Errorf("%d messages left, want only the locked one", n)
	}
	done := make(told)
	op := &protocol.DeleteOp{Queue: key, IDs: ids, Waiter: done}
	patient.Delete(op)
	wantErr(t, "others meanwhile", remove(patient, key, false, ids[:1]), nil)
	select {
	case <-done:
		t.Error("answered while the message is locked")
	default:
	}
	release()
	<-done
	wantErr(t, "after it was locked", op.Err, nil)
	if n := w.number(`SELECT count(*) FROM message`); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

func TestReleaseOfLockedMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	ids := w.post(s, key, 3)
	claim := w.claim(s, key, 3)
	release := w.lockRow(ids[1])
	wantErr(t, "renew", s.RenewClaim(t.Context(), key, claim.ClaimID, 60, 60), protocol.ErrUnavailable)
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, claim.ClaimID), protocol.ErrUnavailable)
	release()
	wantErr(t, "release", s.ReleaseClaim(t.Context(), key, claim.ClaimID), nil)
	wantSeqs(t, "claim", w.claim(s, key, 5).Messages, 1, 2, 3)
}

func TestDeleteOfDelayedMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	post := func(delay int32) protocol.MessageID {
		return w.postAll(s, key, []protocol.NewMessage{{Body: []byte("1"), TTL: 300, Delay: delay}})[0]
	}
	waiting, due := post(900), post(900)
	if !waiting.Inbox {
		t.Fatalf("delayed message has the id %s", waiting)
	}
	wantErr(t, "fenced by a claim", remove(s, key, true, []protocol.MessageID{waiting}, "nope"), protocol.ErrNotClaimed)
	wantErr(t, "while it waits", remove(s, key, true, []protocol.MessageID{waiting}), nil)
	w.promoteNow(s, key, due)
	wantErr(t, "after its promotion", remove(s, key, false, []protocol.MessageID{due, waiting}), nil)
	if n := w.number(`SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM inbox)`); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

// promoteNow makes a delayed message due and waits until it has a number.
func (w *world) promoteNow(s *Store, key protocol.QueueKey, id protocol.MessageID) {
	w.t.Helper()
	w.exec(`UPDATE inbox SET due_at = now() WHERE id = $1`, id.N)
	// A post wakes the promoter, and its poll finds the rest.
	for w.number(`SELECT count(*) FROM inbox WHERE id = $1`, id.N) > 0 {
		if err := sleep(w.t.Context(), 5*time.Millisecond); err != nil {
			w.t.Fatal(err)
		}
	}
}

// In an observed queue a consumed message is seen by the feed and by nobody else.
func TestTombstones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	ids := w.post(s, key, 4)
	head, err := s.Head(ctx, key)
	if err != nil || head.Last != 4 || head.QueueID != ids[0].Queue {
		t.Fatalf("head %+v, %v", head, err)
	}
	claim := w.claim(s, key, 2)
	wantErr(t, "delete", remove(s, key, true, ids[:2], claim.ClaimID), nil)
	popped, err := s.PopMessages(ctx, key, 1)
	wantErr(t, "pop", err, nil)
	wantSeqs(t, "pop", popped, 3)

	page, err := s.Feed(ctx, key, head.QueueID, 0, 100, 1<<20)
	wantErr(t, "feed", err, nil)
	wantSeqs(t, "feed", page.Messages, 1, 2, 3, 4)
	if len(page.Gaps) != 0 || page.Upto != 4 {
		t.Errorf("feed has gaps %v, upto %d", page.Gaps, page.Upto)
	}
	listed, err := s.Messages(ctx, key, protocol.MessagePage{Limit: 10, Echo: true, IncludeClaimed: true})
	wantErr(t, "list", err, nil)
	wantSeqs(t, "list", listed, 4)
	_, err = s.Message(ctx, key, ids[0].String())
	wantErr(t, "get", err, protocol.ErrNoMessage)
	many, err := s.MessagesByID(ctx, key, []string{ids[0].String(), ids[3].String()})
	wantErr(t, "get many", err, nil)
	wantSeqs(t, "get many", many, 4)
	_, err = s.ClaimByID(ctx, key, claim.ClaimID)
	wantErr(t, "claim", err, protocol.ErrNoClaim)
	wantErr(t, "renew", s.RenewClaim(ctx, key, claim.ClaimID, 60, 60), protocol.ErrNoClaim)
	wantErr(t, "release", s.ReleaseClaim(ctx, key, claim.ClaimID), nil)
	wantErr(t, "delete again", remove(s, key, true, ids[:2], claim.ClaimID), nil)
	wantSeqs(t, "claim", w.claim(s, key, 10).Messages, 4)
	if n := w.removed(head.QueueID); n != 3 {
		t.Errorf("%d messages counted as removed, want 3", n)
	}
	// Once nobody observes the queue, deletes are real.
	w.exec(`UPDATE queue_watch SET observed_until = now() - interval '1 s'`)
	wantErr(t, "delete", remove(s, key, false, ids), nil)
	if n := w.number(`SELECT count(*) FROM message`); n != 3 {
		t.Errorf("%d rows left, want the 3 tombstones", n)
	}
}

func TestPop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	none, err := s.PopMessages(ctx, key, 2)
	if err != nil || len(none) != 0 {
		t.Fatalf("pop of a missing queue: %v, %v", none, err)
	}
	ids := w.post(s, key, 4)
	claim := w.claim(s, key, 1)
	popped, err := s.PopMessages(ctx, key, 2)
	wantErr(t, "pop", err, nil)
	wantSeqs(t, "pop", popped, 2, 3)
	for i, m := range popped {
		if string(m.Body) != strconv.Itoa(i+1) || m.ClaimID == "" || m.ClaimCount != 0 || m.TTL != 3600 {
			t.Errorf("popped %+v", m)
		}
	}
	_, err = s.ClaimByID(ctx, key, popped[0].ClaimID)
	wantErr(t, "claim of the pop", err, protocol.ErrNoClaim)
	popped, err = s.PopMessages(ctx, key, 20)
	wantErr(t, "pop", err, nil)
	wantSeqs(t, "pop of the rest", popped, 4)
	wantErr(t, "release", s.ReleaseClaim(ctx, key, claim.ClaimID), nil)
	popped, err = s.PopMessages(ctx, key, 20)
	wantErr(t, "pop", err, nil)
	wantSeqs(t, "pop of what was released", popped, 1)
	if n := w.removed(ids[0].Queue); n != 4 {
		t.Errorf("%d messages counted as removed, want 4", n)
	}
}
