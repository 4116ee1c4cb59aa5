package store

import (
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestMessagesPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	ids := w.post(s, key, 5)
	queueID := ids[0].Queue
	someone := uuid.New()
	w.exec(`UPDATE message SET client_id = $1 WHERE seq IN (2, 4)`, someone)
	w.exec(`UPDATE message SET claim_expires_at = now() + interval '1 h',
		claim_batch = 1, claim_first = 3, claim_last = 3 WHERE seq = 3`)
	later := protocol.MessageID{Queue: queueID + 1, N: 1}.String()
	for name, test := range map[string]struct {
		page protocol.MessagePage
		want []int64
	}{
		"all":                      {protocol.MessagePage{Echo: true, IncludeClaimed: true}, []int64{1, 2, 3, 4, 5}},
		"claimed left out":         {protocol.MessagePage{Echo: true}, []int64{1, 2, 4, 5}},
		"own left out":             {protocol.MessagePage{ClientID: poster}, []int64{2, 4}},
		"own left out, then limit": {protocol.MessagePage{ClientID: someone, Limit: 2}, []int64{1, 5}},
		"limit":                    {protocol.MessagePage{Echo: true, Limit: 2}, []int64{1, 2}},
		"marker":                   {protocol.MessagePage{Echo: true, Marker: ids[1].String()}, []int64{4, 5}},
		"marker is the oldest":     {protocol.MessagePage{Echo: true, Limit: 1, Marker: ids[0].String()}, []int64{2}},
		"marker is the newest":     {protocol.MessagePage{Echo: true, Marker: ids[4].String()}, nil},
		"unknown marker":           {protocol.MessagePage{Echo: true, Marker: "nope"}, nil},
		"marker far beyond":        {protocol.MessagePage{Echo: true, Marker: protocol.MessageID{Queue: queueID, N: 1<<63 - 1}.String()}, nil},
		"marker of another queue":  {protocol.MessagePage{Echo: true, Marker: later}, nil},
		"unknown delayed marker":   {protocol.MessagePage{Echo: true, Marker: protocol.MessageID{Queue: queueID, N: 1, Inbox: true}.String()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if test.page.Limit == 0 {
				test.page.Limit = 20
			}
			got, err := s.Messages(ctx, key, test.page)
			wantErr(t, "list", err, nil)
			wantSeqs(t, "list", got, test.want...)
			for _, m := range got {
				if (m.Seq == 3) != (m.ClaimID != "") {
					t.Errorf("message %d is in the claim %q", m.Seq, m.ClaimID)
				}
			}
		})
	}
	none, err := s.Messages(ctx, newKey(), protocol.MessagePage{Limit: 10})
	if err != nil || len(none) != 0 {
		t.Errorf("list of a missing queue: %v, %v", none, err)
	}
}

// What is expired, purged or consumed is not listed, also not far behind many such.
func TestMessagesBehindHiddenOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	w.post(s, key, 500)
	id := w.post(s, key, 500)[0].Queue
	w.exec(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body)
		SELECT $1, i, now(), now() - interval '1 s', 60, '1' FROM generate_series(1001, 9000) i`, id)
	w.exec(`UPDATE queue_seq SET next_seq = 9001, purged_upto = 500 WHERE id = $1`, id)
	w.exec(`UPDATE message SET claim_expires_at = 'infinity' WHERE queue_id = $1 AND seq <= 998`, id)
	last := w.post(s, key, 1)[0]
	page, err := s.Messages(ctx, key, protocol.MessagePage{Limit: 20, Echo: true})
	wantErr(t, "list", err, nil)
	wantSeqs(t, "list", page, 999, 1000, 9001)
	_, err = s.Message(ctx, key, protocol.MessageID{Queue: id, N: 1001}.String())
	wantErr(t, "expired message", err, protocol.ErrNoMessage)
	_, err = s.Message(ctx, key, last.String())
	wantErr(t, "last message", err, nil)
}

func TestMessageByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	_, err := s.Message(ctx, key, "nope")
	wantErr(t, "missing queue", err, protocol.ErrNoQueue)
	ids := w.post(s, key, 3)
	foreign := w.post(s, newKey(), 1)[0]
	claim := w.claim(s, key, 1)
	m, err := s.Message(ctx, key, ids[0].String())
	if err != nil || m.ClaimID != claim.ClaimID || m.ClaimCount != 0 || string(m.Body) != "0" {
		t.Errorf("claimed message: %+v, %v", m, err)
	}
	_, err = s.Message(ctx, key, foreign.String())
	wantErr(t, "another queue's message", err, protocol.ErrNoMessage)
	_, err = s.Message(ctx, key, claim.ClaimID)
	wantErr(t, "no message id", err, protocol.ErrNoMessage)
	many, err := s.MessagesByID(ctx, key, []string{ids[2].String(), ids[0].String(), "nope", foreign.String()})
	wantErr(t, "get many", err, nil)
	wantSeqs(t, "get many", many, 3, 1)
	many, err = s.MessagesByID(ctx, key, []string{ids[0].String(), ids[1].String()})
	if err != nil || len(many) != 2 || many[0].ClaimID != claim.ClaimID || many[1].ClaimID != "" {
		t.Errorf("messages with claims: %+v, %v", many, err)
	}
	many, err = s.MessagesByID(ctx, newKey(), []string{ids[0].String()})
	if err != nil || len(many) != 0 {
		t.Errorf("get many of a missing queue: %v, %v", many, err)
	}
}

// A delayed message's id is good before and after the message gets its number, also as a marker.
func TestDelayedMessagesByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	delayed := w.postAll(s, key, []protocol.NewMessage{{Body: []byte("1"), TTL: 300, Delay: 600}, {Body: []byte("2"), TTL: 300, Delay: 300}})
	now := w.post(s, key, 2)
	m, err := s.Message(ctx, key, delayed[0].String())
	if err != nil || m.Seq != 0 || m.ID != delayed[0] || string(m.Body) != "1" {
		t.Fatalf("delayed message: %+v, %v", m, err)
	}
	list := func(page protocol.MessagePage) (ids []protocol.MessageID) {
		t.Helper()
		page.Limit, page.Echo = 10, true
		got, err := s.Messages(ctx, key, page)
		wantErr(t, "list", err, nil)
		return idsOf(got)
	}
	wantIDs(t, "list", list(protocol.MessagePage{}), now...)
	wantIDs(t, "list with delayed", list(protocol.MessagePage{IncludeDelayed: true}), now[0], now[1], delayed[1], delayed[0])
	wantIDs(t, "list with delayed, from one on", list(protocol.MessagePage{IncludeDelayed: true, Marker: delayed[1].String()}), delayed[0])
	w.promoteNow(s, key, delayed[1])
	wantIDs(t, "list after it was due", list(protocol.MessagePage{}), now[0], now[1], delayed[1])
	last := w.post(s, key, 1)[0]
	wantIDs(t, "list from it on", list(protocol.MessagePage{Marker: delayed[1].String()}), last)
	m, err = s.Message(ctx, key, delayed[1].String())
	if err != nil || m.Seq != 3 || m.ID != delayed[1] {
		t.Errorf("message after it was due: %+v, %v", m, err)
	}
}

func wantIDs(t testing.TB, what string, got []protocol.MessageID, want ...protocol.MessageID) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: got %v, want %v", what, got, want)
			return
		}
	}
}
