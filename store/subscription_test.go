package store

import (
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, other, key, ctx := w.store("", nil), w.store("", nil), newKey(), t.Context()
	socket := &protocol.Subscription{Queue: key, Subscriber: "http://127.0.0.1:8888/one", TTL: 600, Socket: true}
	wantErr(t, "create", s.CreateSubscription(ctx, socket, false), nil)
	hook := &protocol.Subscription{ID: uuid.New(), Queue: key, Subscriber: "http://127.0.0.1:1/hook", TTL: 600, Options: []byte(`{"a":1}`)}
	wantErr(t, "create", other.CreateSubscription(ctx, hook, false), nil)
	again := *hook
	again.ID = uuid.New()
	wantErr(t, "create again", s.CreateSubscription(ctx, &again, false), protocol.ErrSubscriptionExists)
	if _, err := s.Queue(ctx, key); err != nil {
		t.Errorf("the queue was not made: %v", err)
	}

	list := func(marker string, limit int, want ...uuid.UUID) {
		t.Helper()
		got, err := other.Subscriptions(ctx, key, marker, limit)
		wantErr(t, "list", err, nil)
		var ids []uuid.UUID
		for _, sub := range got {
			ids = append(ids, sub.ID)
		}
		if len(ids) != len(want) {
			t.Errorf("list is %v, want %v", ids, want)
			return
		}
		for i := range ids {
			if ids[i] != want[i] {
				t.Errorf("list is %v, want %v", ids, want)
			}
		}
	}
	list("", 10, socket.ID, hook.ID)
	list("", 1, socket.ID)
	list(socket.ID.String(), 10, hook.ID)
	list("nope", 10)
	list(uuid.New().String(), 10)
	got, err := s.Subscription(ctx, key, hook.ID)
	if err != nil || got.TTL != 600 || got.Age != 0 || string(got.Options) != `{"a":1}` || got.Socket || got.Confirmed || got.Queue != key {
		t.Errorf("subscription: %+v, %v", got, err)
	}
	got, err = other.Subscription(ctx, key, socket.ID)
	if err != nil || !got.Socket || string(got.Options) != "{}" {
		t.Errorf("socket's subscription: %+v, %v", got, err)
	}
	_, err = s.Subscription(ctx, newKey(), hook.ID)
	wantErr(t, "subscription of another queue", err, protocol.ErrNoSubscription)

	wantErr(t, "end another gateway's", other.EndSocketSubscriptions(ctx, []uuid.UUID{socket.ID, hook.ID}), nil)
	list("", 10, socket.ID, hook.ID)
	wantErr(t, "end", s.EndSocketSubscriptions(ctx, []uuid.UUID{socket.ID, hook.ID}), nil)
	list("", 10, hook.ID)
	wantErr(t, "delete by another queue", s.DeleteSubscription(ctx, newKey(), hook.ID), nil)
	list("", 10, hook.ID)
	wantErr(t, "delete", s.DeleteSubscription(ctx, key, hook.ID), nil)
	wantErr(t, "delete again", s.DeleteSubscription(ctx, key, hook.ID), nil)
	list("", 10)
}

// A subscription that has expired, or whose gateway is dead, is not shown and stands in nobody's way.
func TestSubscriptionThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, dead, ctx := w.store("", nil), w.store("", nil), t.Context()
	w.exec(`UPDATE gateway SET lease_until = 'infinity' WHERE id = $1`, s.GatewayID())
	for name, over := range map[string]struct {
		socket bool
		sql    string
	}{
		"expired":      {false, `UPDATE subscription SET expires_at = now() - interval '1 s' WHERE id = $1`},
		"gateway died": {true, `UPDATE subscription SET gateway_id = gen_random_uuid() WHERE id = $1`},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey()
			first := &protocol.Subscription{Queue: key, Subscriber: "one", TTL: 600, Socket: over.socket}
			wantErr(t, "create", dead.CreateSubscription(ctx, first, false), nil)
			w.exec(over.sql, first.ID)
			_, err := s.Subscription(ctx, key, first.ID)
			wantErr(t, "read", err, protocol.ErrNoSubscription)
			list, err := s.Subscriptions(ctx, key, "", 10)
			if err != nil || len(list) != 0 {
				t.Errorf("list: %+v, %v", list, err)
			}
			second := &protocol.Subscription{Queue: key, Subscriber: "one", TTL: 60, Socket: true}
			wantErr(t, "create in its place", s.CreateSubscription(ctx, second, false), nil)
			got, err := s.Subscription(ctx, key, second.ID)
			if err != nil || got.TTL != 60 {
				t.Errorf("subscription: %+v, %v", got, err)
			}
		})
	}
}
