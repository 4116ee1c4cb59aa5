package store

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestUpdateSubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	sub := &protocol.Subscription{Queue: key, Subscriber: "http://one/", TTL: 600, Options: []byte(`{"a":1}`)}
	wantErr(t, "create", s.CreateSubscription(ctx, sub, false), nil)
	w.hook(s, key, "http://two/")
	update := func(change protocol.SubscriptionChange) error { return s.UpdateSubscription(ctx, key, sub.ID, change) }
	want := func(what, subscriber string, ttl int32, options string) {
		t.Helper()
		got, err := s.Subscription(ctx, key, sub.ID)
		if err != nil || got.Subscriber != subscriber || got.TTL != ttl || string(got.Options) != options {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	one, two, three, ttl := "http://one/", "http://two/", "http://three/", int32(900)
	wantErr(t, "ttl", update(protocol.SubscriptionChange{TTL: &ttl}), nil)
	want("ttl", one, 900, `{"a":1}`)
	if n := w.number(`SELECT extract(epoch FROM expires_at - now())::bigint FROM subscription WHERE id = $1`, sub.ID); n < 890 {
		t.Errorf("it ends in %d s", n)
	}
	wantErr(t, "options", update(protocol.SubscriptionChange{Options: []byte(`{}`)}), nil)
	want("options", one, 900, `{}`)
	wantErr(t, "taken", update(protocol.SubscriptionChange{Subscriber: &two, TTL: new(int32)}), protocol.ErrSubscriptionExists)
	want("nothing half done", one, 900, `{}`)
	wantErr(t, "the same", update(protocol.SubscriptionChange{Subscriber: &one}), nil)
	wantErr(t, "subscriber", update(protocol.SubscriptionChange{Subscriber: &three}), nil)
	want("subscriber", three, 900, `{}`)
	w.exec(`UPDATE subscription SET expires_at = now() WHERE subscriber = $1`, two)
	wantErr(t, "of an expired one", update(protocol.SubscriptionChange{Subscriber: &two}), nil)
	want("of an expired one", two, 900, `{}`)
	if n := w.number(`SELECT count(*) FROM delivery`); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	wantErr(t, "missing", s.UpdateSubscription(ctx, key, uuid.New(), protocol.SubscriptionChange{TTL: &ttl}), protocol.ErrNoSubscription)
	wantErr(t, "of another queue", s.UpdateSubscription(ctx, newKey(), sub.ID, protocol.SubscriptionChange{TTL: &ttl}), protocol.ErrNoSubscription)
	w.exec(`UPDATE subscription SET expires_at = now()`)
	wantErr(t, "expired", update(protocol.SubscriptionChange{TTL: &ttl}), protocol.ErrNoSubscription)
}

// A new address does not wait for the old one's next attempt, and has to confirm where the old one had to.
func TestUpdateSubscriber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	for _, confirm := range []bool{false, true} {
		sub := &protocol.Subscription{Queue: key, Subscriber: "http://one/", TTL: 600}
		wantErr(t, "create", s.CreateSubscription(ctx, sub, confirm), nil)
		wantErr(t, "confirm", s.ConfirmSubscription(ctx, key, sub.ID, true), nil)
		d := w.lease(s, sub.ID)
		late := protocol.Progress{QueueID: d.QueueID, Attempts: 5, Wait: 1e12}
		wantErr(t, "save", s.SaveProgress(ctx, d.Lease, late), nil)
		address, ttl := "http://one/", int32(300)
		wantErr(t, "update", s.UpdateSubscription(ctx, key, sub.ID, protocol.SubscriptionChange{Subscriber: &address, TTL: &ttl}), nil)
		got, err := s.ReadDurable(ctx, d.Lease)
		if err != nil || got.Attempts != 5 || got.Wait == 0 || !got.Subscription.Confirmed || got.Confirm {
			t.Errorf("the same address: %+v, %v", got, err)
		}
		address = "http://new/"
		wantErr(t, "update", s.UpdateSubscription(ctx, key, sub.ID, protocol.SubscriptionChange{Subscriber: &address}), nil)
		got, err = s.ReadDurable(ctx, d.Lease)
		if err != nil || got.Attempts != 0 || got.Wait != 0 || got.Subscription.Confirmed == confirm || got.Confirm != confirm {
			t.Errorf("another address: %+v, %v", got, err)
		}
		wantErr(t, "delete", s.DeleteSubscription(ctx, key, sub.ID), nil)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", func(c *Config) { still(c); c.Deliveries.ConfirmationPause = 0 }), newKey(), t.Context()
	sub := &protocol.Subscription{Queue: key, Subscriber: "http://one/", TTL: 600, Options: []byte(`{"a":1}`)}
	wantErr(t, "create", s.CreateSubscription(ctx, sub, true), nil)
	d := w.lease(s, sub.ID)
	want := func(what string, confirmed, pending bool) {
		t.Helper()
		got, err := s.ReadDurable(ctx, d.Lease)
		if err != nil || got.Subscription.Confirmed != confirmed || got.Confirm != pending {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	again := func(confirm bool) {
		t.Helper()
		other := &protocol.Subscription{Queue: key, Subscriber: "http://one/", TTL: 900, Options: []byte(`{}`)}
		wantErr(t, "create again", s.CreateSubscription(ctx, other, confirm), protocol.ErrSubscriptionExists)
		now, err := s.Subscription(ctx, key, sub.ID)
		if err != nil || other.ID != sub.ID || other.Confirmed != now.Confirmed || now.TTL != 600 || string(now.Options) != `{"a":1}` {
			t.Errorf("create again gave %+v; it is %+v, %v", other, now, err)
		}
	}
	want("made", false, true)
	wantErr(t, "sent", s.ConfirmationSent(ctx, d.Lease), nil)
	want("sent", false, false)
	again(false)
	want("made again, without confirmation", false, false)
	again(true)
	want("made again", false, true)
	wantErr(t, "confirm", s.ConfirmSubscription(ctx, key, sub.ID, true), nil)
	want("confirmed", true, false)
	again(true)
	want("made again, confirmed", true, false)
	wantErr(t, "not wanted", s.ConfirmSubscription(ctx, key, sub.ID, false), nil)
	want("not wanted", false, false)
	wantErr(t, "missing", s.ConfirmSubscription(ctx, key, uuid.New(), true), protocol.ErrNoSubscription)
	wantErr(t, "of another queue", s.ConfirmSubscription(ctx, newKey(), sub.ID, true), protocol.ErrNoSubscription)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", still), newKey(), t.Context()
	sub := w.hook(s, key, "http://one/")
	secrets := func(rotate bool, want int) [][]byte {
		t.Helper()
		got, err := s.SubscriptionSecrets(ctx, key, sub.ID, rotate)
		if err != nil || len(got) != want || len(got[0]) != 32 {
			t.Fatalf("secrets: %x, %v; want %d", got, err, want)
		}
		return got
	}
	first := secrets(false, 1)
	second := secrets(true, 2)
	if bytes.Equal(second[0], first[0]) || !bytes.Equal(second[1], first[0]) || !slices.EqualFunc(second, secrets(false, 2), bytes.Equal) {
		t.Errorf("rotated %x to %x", first, second)
	}
	secrets(true, 3)
	third := secrets(true, 3)
	if slices.ContainsFunc(third, func(secret []byte) bool { return bytes.Equal(secret, first[0]) }) || !bytes.Equal(third[2], second[0]) {
		t.Errorf("rotated from %x to %x", second, third)
	}
	if d := w.lease(s, sub.ID); !slices.EqualFunc(third, d.Secrets, bytes.Equal) {
		t.Errorf("the deliverer's secrets are %x, not %x", d.Secrets, third)
	}
	ends := w.row(`SELECT array_agg(round(extract(epoch FROM u - now()) / 3600))::text FROM subscription, unnest(secrets_until) u WHERE u < 'infinity'`)
	if ends != "{24,24}" {
		t.Errorf("the older ones end in %s hours", ends)
	}
	w.exec(`UPDATE subscription SET secrets_until = ARRAY['infinity', now() + interval '1 h', now()]::timestamptz[]`)
	secrets(false, 2)
	if n := len(secrets(true, 3)); n != 3 {
		t.Errorf("%d secrets", n)
	}
	// A day is from the rotation that replaced it, not from a later one.
	if ends := w.row(`SELECT array_agg(round(extract(epoch FROM u - now()) / 3600))::text FROM subscription, unnest(secrets_until) u WHERE u < 'infinity'`); ends != "{24,1}" {
		t.Errorf("the older ones end in %s hours", ends)
	}
	socket := &protocol.Subscription{Queue: key, Subscriber: "socket", TTL: 600, Socket: true}
	wantErr(t, "create", s.CreateSubscription(ctx, socket, false), nil)
	if got, err := s.SubscriptionSecrets(ctx, key, socket.ID, false); err != nil || len(got) != 0 {
		t.Errorf("a socket's secrets: %x, %v", got, err)
	}
	for _, rotate := range []bool{false, true} {
		_, err := s.SubscriptionSecrets(ctx, key, uuid.New(), rotate)
		wantErr(t, "missing", err, protocol.ErrNoSubscription)
	}
}
