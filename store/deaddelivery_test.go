package store

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// bury buries messages with numbers from to upto.
func (w *world) bury(s *Store, d *protocol.Durable, from, upto int64) {
	w.t.Helper()
	for n := from; n <= upto; n++ {
		err := s.BuryDelivery(w.t.Context(), d.Lease, protocol.Progress{QueueID: d.QueueID, Cursor: n}, protocol.DeadDelivery{
			MessageID: protocol.MessageID{Queue: d.QueueID, N: n}, Body: fmt.Append(nil, n), TTL: 60, Attempts: 4, Reason: "status 500",
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// dead lists dead deliveries by the numbers of their messages, and their ids.
func (w *world) dead(s *Store, sub *protocol.Subscription) (numbers string, ids []int64) {
	w.t.Helper()
	dead, err := s.DeadDeliveries(w.t.Context(), sub.Queue, sub.ID, 0, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range dead {
		numbers += fmt.Sprintf(" %d", d.MessageID.N)
		ids = append(ids, d.ID)
	}
	return numbers, ids
}

func TestBury(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", func(c *Config) { still(c); c.Deliveries.DeadDeliveries = 3 }), newKey(), t.Context()
	sub, other := w.hook(s, key, "one"), w.hook(s, key, "two")
	d := w.lease(s, sub.ID)
	w.exec(`UPDATE delivery SET lease_until = now() WHERE subscription_id = $1`, other.ID)
	theirs := w.lease(s, other.ID)
	w.bury(s, theirs, 1, 2)
	full := protocol.DeadDelivery{
		MessageID: protocol.MessageID{Queue: d.QueueID, N: 9, Inbox: true}, Body: []byte{0xc0}, Codec: protocol.MessagePack,
		TTL: 77, Attempts: 5, Reason: "bad \x00 text \xff",
	}
	wantErr(t, "bury", s.BuryDelivery(ctx, d.Lease, protocol.Progress{QueueID: d.QueueID, Cursor: 1, Attempts: 1}, full), nil)
	list, err := s.DeadDeliveries(ctx, key, sub.ID, 0, 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("dead: %+v, %v", list, err)
	}
	got := list[0]
	if got.ID == 0 || got.MessageID != full.MessageID || string(got.Body) != "\xc0" || got.Codec != protocol.MessagePack || got.TTL != 77 ||
		got.Attempts != 5 || got.Reason != "bad \uFFFD text \uFFFD" || got.Failed.IsZero() || got.Resend {
		t.Errorf("dead: %+v", got)
	}
	if after, err := s.ReadDurable(ctx, d.Lease); err != nil || after.Cursor != 1 || after.Attempts != 1 {
		t.Errorf("progress: %+v, %v", after, err)
	}
	w.bury(s, d, 2, 3)
	if n, _ := w.dead(s, sub); n != " 9 2 3" {
		t.Errorf("dead:%s", n)
	}
	w.bury(s, d, 4, 5)
	if n, _ := w.dead(s, sub); n != " 3 4 5" {
		t.Errorf("the oldest did not go: dead:%s", n)
	}
	if n, _ := w.dead(s, other); n != " 1 2" {
		t.Errorf("another subscription's:%s", n)
	}
	if n, err := s.DroppedDeliveries(ctx, key, sub.ID); err != nil || n != 2 {
		t.Errorf("dropped %d, %v", n, err)
	}
}

func TestDeadDeliveriesPagesAndExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	sub := w.hook(s, key, "one")
	w.bury(s, w.lease(s, sub.ID), 1, 5)
	_, ids := w.dead(s, sub)
	page, err := s.DeadDeliveries(ctx, key, sub.ID, ids[1], 2)
	if err != nil || len(page) != 2 || page[0].ID != ids[2] || page[1].ID != ids[3] {
		t.Errorf("page: %+v, %v", page, err)
	}
	w.exec(`UPDATE dead_delivery SET expires_at = now() WHERE id <= $1`, ids[1])
	if n, _ := w.dead(s, sub); n != " 3 4 5" {
		t.Errorf("dead:%s", n)
	}
	if n, err := s.ResendDeliveries(ctx, key, sub.ID, nil); err != nil || n != 3 {
		t.Errorf("resend %d, %v", n, err)
	}
	w.sweepNow(s)
	if n := w.number(`SELECT count(*) FROM dead_delivery`); n != 3 {
		t.Errorf("%d rows after the sweep", n)
	}
	if n, err := s.DeleteDeliveries(ctx, key, sub.ID, ids[:3]); err != nil || n != 1 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := s.DeleteDeliveries(ctx, key, sub.ID, []int64{}); err != nil || n != 0 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := s.DeleteDeliveries(ctx, key, sub.ID, nil); err != nil || n != 2 {
		t.Errorf("deleted %d, %v", n, err)
	}
	missing := uuid.New()
	_, list := s.DeadDeliveries(ctx, key, missing, 0, 1)
	_, resend := s.ResendDeliveries(ctx, key, missing, nil)
	_, remove := s.DeleteDeliveries(ctx, key, missing, nil)
	_, dropped := s.DroppedDeliveries(ctx, key, missing)
	_, elsewhere := s.DeadDeliveries(ctx, newKey(), sub.ID, 0, 1)
	for what, err := range map[string]error{"list": list, "resend": resend, "delete": remove, "dropped": dropped, "elsewhere": elsewhere} {
		wantErr(t, what, err, protocol.ErrNoSubscription)
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	sub := w.hook(s, key, "one")
	d := w.lease(s, sub.ID)
	w.bury(s, d, 1, 4)
	_, ids := w.dead(s, sub)
	if n, err := s.ResendDeliveries(ctx, key, sub.ID, append(ids[1:3:3], 99999)); err != nil || n != 2 {
		t.Errorf("resend %d, %v", n, err)
	}
	wantPending := func(want ...int64) {
		t.Helper()
		got, err := s.PendingResends(ctx, d.Lease, 10)
		if err != nil || len(got) != len(want) {
			t.Fatalf("pending: %+v, %v", got, err)
		}
		for i, id := range want {
			if got[i].ID != id || !got[i].Resend {
				t.Errorf("pending: %+v, want %v", got, want)
			}
		}
		read, err := s.ReadDurable(ctx, d.Lease)
		if err != nil || read.Resends != (len(want) > 0) {
			t.Errorf("resends: %+v, %v", read, err)
		}
	}
	wantPending(ids[1], ids[2])
	if got, err := s.PendingResends(ctx, d.Lease, 1); err != nil || len(got) != 1 {
		t.Errorf("pending, one: %+v, %v", got, err)
	}
	wantErr(t, "delivered", s.FinishResend(ctx, d.Lease, ids[1], true, ""), nil)
	wantPending(ids[2])
	wantErr(t, "not delivered", s.FinishResend(ctx, d.Lease, ids[2], false, "gone away"), nil)
	wantErr(t, "of one that is gone", s.FinishResend(ctx, d.Lease, ids[1], false, "x"), nil)
	wantPending()
	list, err := s.DeadDeliveries(ctx, key, sub.ID, ids[0], 10)
	if err != nil || len(list) != 2 || list[0].ID != ids[2] || list[0].Resend || list[0].Attempts != 5 || list[0].Reason != "gone away" {
		t.Errorf("dead: %+v, %v", list, err)
	}
	if n, err := s.ResendDeliveries(ctx, key, sub.ID, nil); err != nil || n != 3 {
		t.Errorf("resend %d, %v", n, err)
	}
	wantPending(ids[0], ids[2], ids[3])
}

// However a subscription ends, its dead deliveries go with it.
func TestDeadDeliveriesEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ctx := w.store("", still), t.Context()
	for name, end := range map[string]func(*protocol.Subscription){
		"deleted": func(sub *protocol.Subscription) {
			wantErr(t, "delete", s.DeleteSubscription(ctx, sub.Queue, sub.ID), nil)
		},
		"purged": func(sub *protocol.Subscription) { wantErr(t, "purge", s.PurgeQueue(ctx, sub.Queue, true, true), nil) },
		"expired": func(sub *protocol.Subscription) {
			w.exec(`UPDATE subscription SET expires_at = now() WHERE id = $1`, sub.ID)
			w.sweepNow(s)
		},
		"replaced": func(sub *protocol.Subscription) {
			w.exec(`UPDATE subscription SET expires_at = now() WHERE id = $1`, sub.ID)
			again := w.hook(s, sub.Queue, sub.Subscriber)
			if got := w.lease(s, again.ID); got.Token != 1 || got.Cursor != 0 {
				t.Errorf("made in the place of an expired one: %+v", got)
			}
			wantErr(t, "delete", s.DeleteSubscription(ctx, sub.Queue, again.ID), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub, stays := w.hook(s, newKey(), "one"), w.hook(s, newKey(), "two")
			w.bury(s, w.lease(s, sub.ID), 1, 3)
			w.runOut(stays.ID)
			w.bury(s, w.lease(s, stays.ID), 1, 1)
			end(sub)
			if n := w.number(`SELECT count(*) FROM dead_delivery WHERE subscription_id <> $1`, stays.ID); n != 0 {
				t.Errorf("%d dead deliveries are left", n)
			}
			if n := w.number(`SELECT count(*) FROM delivery WHERE subscription_id = $1`, sub.ID); n != 0 {
				t.Error("its delivery is left")
			}
			wantErr(t, "tidy", s.DeleteSubscription(ctx, stays.Queue, stays.ID), nil)
		})
	}
}
