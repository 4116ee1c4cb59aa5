package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// hook makes a durable, confirmed subscription.
func (w *world) hook(s *Store, key protocol.QueueKey, subscriber string) *protocol.Subscription {
	w.t.Helper()
	sub := &protocol.Subscription{Queue: key, Subscriber: subscriber, TTL: 3600, Confirmed: true}
	if err := s.CreateSubscription(w.t.Context(), sub, false); err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// lease leases everything that is free and returns the one of that subscription.
func (w *world) lease(s *Store, id uuid.UUID) *protocol.Durable {
	w.t.Helper()
	all, err := s.LeaseDurable(w.t.Context(), 1000, time.Minute, true)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	w.t.Fatalf("%v is not among the %d leased", id, len(all))
	return nil
}

// runOut makes a lease run out.
func (w *world) runOut(id uuid.UUID) {
	w.t.Helper()
	w.exec(`UPDATE delivery SET lease_until = now() WHERE subscription_id = $1`, id)
}

func TestDurableAsLeased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	policy := `{"retries_with_no_delay":1}`
	if _, err := s.CreateQueue(t.Context(), key, []byte(`{"_retry_policy":`+policy+`}`)); err != nil {
		t.Fatal(err)
	}
	ids := w.post(s, key, 7)
	sub := &protocol.Subscription{Queue: key, Subscriber: "https://h/", TTL: 600, Options: []byte(`{"a":1}`)}
	wantErr(t, "create", s.CreateSubscription(t.Context(), sub, true), nil)
	d := w.lease(s, sub.ID)
	if d.Token != 1 || d.QueueID != ids[0].Queue || d.Cursor != 7 || d.Attempts != 0 || d.Wait != 0 || !d.Confirm || d.Resends ||
		d.Version != 0 || string(d.Policy) != policy || len(d.Secrets) != 1 || len(d.Secrets[0]) != 32 {
		t.Errorf("leased: %+v", d)
	}
	if got := d.Subscription; got.ID != sub.ID || got.Queue != key || got.Subscriber != sub.Subscriber || got.TTL != 600 ||
		string(got.Options) != `{"a":1}` || got.Confirmed || got.Socket {
		t.Errorf("subscription: %+v", got)
	}
	p := protocol.Progress{QueueID: d.QueueID, Cursor: 9, Attempts: 3, Wait: time.Hour}
	wantErr(t, "save", s.SaveProgress(t.Context(), d.Lease, p), nil)
	wantErr(t, "sent", s.ConfirmationSent(t.Context(), d.Lease), nil)
	got, err := s.ReadDurable(t.Context(), d.Lease)
	if err != nil || got.Cursor != 9 || got.Attempts != 3 || got.Wait < 59*time.Minute || got.Wait > time.Hour || got.Confirm {
		t.Errorf("after progress: %+v, %v", got, err)
	}
}

// What is leased at a gateway that insists on confirmation.
func TestLeaseUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key := w.store("", nil), newKey()
	create := func(name string, confirmed, confirm bool) uuid.UUID {
		sub := &protocol.Subscription{Queue: key, Subscriber: name, TTL: 600, Confirmed: confirmed}
		wantErr(t, name, s.CreateSubscription(t.Context(), sub, confirm), nil)
		return sub.ID
	}
	confirmed, asked := create("confirmed", true, false), create("asked", false, true)
	unconfirmed, expired := create("unconfirmed", false, false), create("expired", true, false)
	w.exec(`UPDATE subscription SET expires_at = now() WHERE id = $1`, expired)
	socket := &protocol.Subscription{Queue: key, Subscriber: "socket", TTL: 600, Socket: true}
	wantErr(t, "socket", s.CreateSubscription(t.Context(), socket, false), nil)
	resends := create("resends", false, false)
	if _, err := s.ResendDeliveries(t.Context(), key, resends, nil); err != nil {
		t.Fatal(err)
	}
	lease := func(what string, insists bool, want ...uuid.UUID) (leases []protocol.Lease) {
		t.Helper()
		all, err := s.LeaseDurable(t.Context(), 10, time.Minute, !insists)
		wantErr(t, what, err, nil)
		got := map[uuid.UUID]bool{}
		for _, d := range all {
			got[d.ID] = true
			leases = append(leases, d.Lease)
		}
		for _, id := range want {
			if !got[id] {
				t.Errorf("%s: %v is missing", what, id)
			}
		}
		if len(all) != len(want) {
			t.Errorf("%s: leased %d, want %d", what, len(all), len(want))
		}
		return leases
	}
	leases := lease("insisting", true, confirmed, asked, resends)
	lease("insisting again", true)
	wantErr(t, "release", s.ReleaseDurable(t.Context(), leases), nil)
	leases = lease("all", false, confirmed, asked, resends, unconfirmed)
	for _, l := range leases {
		wantErr(t, "sent", s.ConfirmationSent(t.Context(), l), nil)
		if _, err := s.PendingResends(t.Context(), l, 1); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "release", s.ReleaseDurable(t.Context(), leases), nil)
	lease("asked, and nothing to send again", true, confirmed)
	wantErr(t, "confirm", s.ConfirmSubscription(t.Context(), key, asked, true), nil)
	lease("confirmed now", true, asked)
}

// Gateways that lease at the same time never get the same subscription.
func TestLeaseRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*Store{w.store("", nil), w.store("", nil)}
	const subs = 300
	w.fillDurable(subs)
	w.exec(`UPDATE delivery SET lease_until = '-infinity', lease_token = 0`)
	var mu sync.Mutex
	var wg sync.WaitGroup
	holders := make(map[uuid.UUID]int)
	for round := range 3 {
		clear(holders)
		for i := range 6 {
			s := stores[i%2]
			wg.Go(func() {
				for {
					got, err := s.LeaseDurable(context.WithoutCancel(t.Context()), 7, time.Minute, true)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, d := range got {
						holders[d.ID]++
						if d.Token != int64(round+1) {
							t.Errorf("round %d: token %d", round, d.Token)
						}
					}
					done := len(holders) == subs
					mu.Unlock()
					if len(got) == 0 && done {
						return
					}
				}
			})
		}
		wg.Wait()
		for id, n := range holders {
			if n != 1 {
				t.Errorf("%v was leased %d times", id, n)
			}
		}
		w.exec(`UPDATE delivery SET lease_until = now()`)
	}
}

// Who has lost the lease changes nothing any more.
func TestFencing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, key, ctx := w.store("", nil), w.store("", nil), newKey(), t.Context()
	sub := w.hook(a, key, "http://h/")
	first := w.lease(a, sub.ID)
	progress := protocol.Progress{QueueID: first.QueueID, Cursor: 5}
	dead := protocol.DeadDelivery{MessageID: protocol.MessageID{Queue: first.QueueID, N: 5}}
	wantErr(t, "bury", a.BuryDelivery(ctx, first.Lease, protocol.Progress{QueueID: first.QueueID, Cursor: 1}, dead), nil)
	if _, err := a.ResendDeliveries(ctx, key, sub.ID, nil); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, s *Store, l protocol.Lease) {
		t.Helper()
		before := w.row(`SELECT d::text FROM delivery d`) + w.row(`SELECT string_agg(x::text, ',') FROM dead_delivery x`)
		_, read := s.ReadDurable(ctx, l)
		_, pending := s.PendingResends(ctx, l, 10)
		elsewhere := progress
		elsewhere.QueueID++
		for name, err := range map[string]error{
			"save": s.SaveProgress(ctx, l, progress), "save elsewhere": s.SaveProgress(ctx, l, elsewhere),
			"bury": s.BuryDelivery(ctx, l, progress, dead), "confirmation": s.ConfirmationSent(ctx, l), "read": read,
			"pending": pending, "resent": s.FinishResend(ctx, l, 1, true, ""), "not resent": s.FinishResend(ctx, l, 1, false, "x"),
		} {
			wantErr(t, what+": "+name, err, protocol.ErrLeaseLost)
		}
		states, err := s.RenewDurable(ctx, []protocol.Lease{l}, time.Hour)
		if err != nil || len(states) != 0 {
			t.Errorf("%s: renewed %v, %v", what, states, err)
		}
		wantErr(t, what+": release", s.ReleaseDurable(ctx, []protocol.Lease{l}), nil)
		if after := w.row(`SELECT d::text FROM delivery d`) + w.row(`SELECT string_agg(x::text, ',') FROM dead_delivery x`); after != before {
			t.Errorf("%s: changed\n%s\nto\n%s", what, before, after)
		}
	}
	refused("another gateway", b, first.Lease)
	refused("another token", a, protocol.Lease{ID: sub.ID, Token: 2})
	refused("another subscription", a, protocol.Lease{ID: uuid.New(), Token: 1})
	w.runOut(sub.ID)
	refused("run out", a, first.Lease)
	second := w.lease(b, sub.ID)
	if second.Token != 2 || second.Cursor != 1 {
		t.Errorf("taken over: %+v", second)
	}
	refused("taken over", a, first.Lease)
	w.runOut(sub.ID)
	third := w.lease(a, sub.ID)
	refused("taken back", a, first.Lease)
	wantErr(t, "save", a.SaveProgress(ctx, third.Lease, progress), nil)
	wantErr(t, "delete", a.DeleteSubscription(ctx, key, sub.ID), nil)
	wantErr(t, "save of a deleted one", a.SaveProgress(ctx, third.Lease, progress), protocol.ErrLeaseLost)
}

func TestRenewAndRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, key, ctx := w.store("", nil), w.store("", nil), newKey(), t.Context()
	var leases []protocol.Lease
	for _, name := range []string{"one", "two", "three", "four"} {
		leases = append(leases, w.lease(a, w.hook(a, key, name).ID).Lease)
	}
	w.runOut(leases[1].ID)
	w.exec(`UPDATE subscription SET expires_at = now() WHERE id = $1`, leases[2].ID)
	wantErr(t, "confirm", a.ConfirmSubscription(ctx, key, leases[3].ID, false), nil)
	states, err := a.RenewDurable(ctx, leases, time.Hour)
	got := map[uuid.UUID]int64{}
	for _, state := range states {
		got[state.ID] = state.Version
	}
	if v, ok := got[leases[3].ID]; err != nil || len(states) != 2 || !ok || v != 1 || got[leases[0].ID] != 0 {
		t.Errorf("renewed: %v, %v", states, err)
	}
	if n := w.number(`SELECT count(*) FROM delivery WHERE lease_until > now() + interval '50 min'`); n != 2 {
		t.Errorf("%d leases last for an hour, want 2", n)
	}
	wantErr(t, "release", a.ReleaseDurable(ctx, leases), nil)
	taken, err := b.LeaseDurable(ctx, 10, time.Minute, true)
	if err != nil || len(taken) != 3 { // not the expired one
		t.Errorf("leased after the release: %d, %v", len(taken), err)
	}
	// A gateway that stops gives back what it has.
	b.Stop(ctx)
	if taken, err = a.LeaseDurable(ctx, 10, time.Minute, true); err != nil || len(taken) != 3 {
		t.Errorf("leased after a gateway left: %d, %v", len(taken), err)
	}
}

// Versions grow by what the deliverer has to read anew, and by nothing that it writes itself.
func TestVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", func(c *Config) { c.Deliveries.ConfirmationPause = 0 }), newKey(), t.Context()
	sub := &protocol.Subscription{Queue: key, Subscriber: "http://h/", TTL: 600}
	wantErr(t, "create", s.CreateSubscription(ctx, sub, true), nil)
	d := w.lease(s, sub.ID)
	ttl := int32(900)
	for _, step := range []struct {
		name  string
		do    func() error
		grows bool
	}{
		{"progress", func() error { return s.SaveProgress(ctx, d.Lease, protocol.Progress{QueueID: d.QueueID, Cursor: 1}) }, false},
		{"bury", func() error { return s.BuryDelivery(ctx, d.Lease, protocol.Progress{}, protocol.DeadDelivery{}) }, false},
		{"confirmation sent", func() error { return s.ConfirmationSent(ctx, d.Lease) }, false},
		{"create again", func() error {
			wantErr(t, "create again", s.CreateSubscription(ctx, &protocol.Subscription{Queue: key, Subscriber: "http://h/", TTL: 60}, true), protocol.ErrSubscriptionExists)
			return nil
		}, true},
		{"update", func() error { return s.UpdateSubscription(ctx, key, sub.ID, protocol.SubscriptionChange{TTL: &ttl}) }, true},
		{"confirm", func() error { return s.ConfirmSubscription(ctx, key, sub.ID, true) }, true},
		{"secrets", func() error { _, err := s.SubscriptionSecrets(ctx, key, sub.ID, false); return err }, false},
		{"rotate", func() error { _, err := s.SubscriptionSecrets(ctx, key, sub.ID, true); return err }, true},
		{"resend", func() error { _, err := s.ResendDeliveries(ctx, key, sub.ID, nil); return err }, true},
		{"finish resend", func() error { return s.FinishResend(ctx, d.Lease, 1, true, "") }, false},
	} {
		before := w.number(`SELECT version FROM subscription`)
		wantErr(t, step.name, step.do(), nil)
		states, err := s.RenewDurable(ctx, []protocol.Lease{d.Lease}, time.Minute)
		if err != nil || len(states) != 1 {
			t.Fatalf("%s: %v, %v", step.name, states, err)
		}
		if grown := states[0].Version > before; grown != step.grows {
			t.Errorf("%s: version from %d to %d", step.name, before, states[0].Version)
		}
	}
}

// row runs SQL that returns one text.
func (w *world) row(sql string) string {
	w.t.Helper()
	var text *string
	if err := w.db.QueryRow(w.t.Context(), sql).Scan(&text); err != nil {
		w.t.Fatal(err)
	}
	if text == nil {
		return ""
	}
	return *text
}
