package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol"
)

// subscribeAsking subscribes with a request for confirmation.
func subscribeAsking(ctx context.Context, s *Store, key protocol.QueueKey, subscriber string) (*protocol.Subscription, error) {
	sub := &protocol.Subscription{Queue: key, Subscriber: subscriber, TTL: 600}
	return sub, s.CreateSubscription(ctx, sub, true)
}

// asks returns a configuration with a pause and few requests.
func asks(pause time.Duration, address, project int) func(*Config) {
	return func(c *Config) {
		still(c)
		c.Deliveries.ConfirmationPause = pause
		c.Deliveries.ConfirmationsPerAddress, c.Deliveries.ConfirmationsPerProject = address, project
	}
}

// Who subscribes again within the pause is answered the same, and nobody is asked; after it, the subscriber is.
func TestConfirmationPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", asks(time.Minute, 3, 100)), newKey(), t.Context()
	sub, err := subscribeAsking(ctx, s, key, "mailto:a@example.com")
	wantErr(t, "create", err, nil)
	d := w.lease(s, sub.ID)
	wantErr(t, "sent", s.ConfirmationSent(ctx, d.Lease), nil)
	again := func(want bool) {
		t.Helper()
		for range 5 {
			other, err := subscribeAsking(ctx, s, key, "mailto:a@example.com")
			wantErr(t, "create again", err, protocol.ErrSubscriptionExists)
			if other.ID != sub.ID || other.Confirmed {
				t.Errorf("create again gave %+v", other)
			}
		}
		got, err := s.ReadDurable(ctx, d.Lease)
		if err != nil || got.Confirm != want {
			t.Errorf("to be asked: %+v, %v; want %v", got, err, want)
		}
	}
	again(false)
	w.exec(`UPDATE subscription SET asked_at = asked_at - interval '1 minute'`)
	again(true)
	// Five more within the pause have not counted either.
	if left := w.row(`SELECT string_agg(remaining::text, ' ' ORDER BY remaining) FROM confirmation_quota`); left != "1 98" {
		t.Errorf("requests left: %s, want 1 98", left)
	}
}

// An address has so many requests in an hour, however it is spelt and whoever asks; a deletion gives none back.
func TestConfirmationsPerAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ctx := w.store("", asks(0, 3, 100)), t.Context()
	for i, subscriber := range []string{"mailto:a@example.com", "mailto:A%40example.com?subject=x", "mailto:b@example.com,a@EXAMPLE.com"} {
		key := protocol.QueueKey{Project: fmt.Sprint("p", i), Name: "q"}
		sub, err := subscribeAsking(ctx, s, key, subscriber)
		wantErr(t, "create", err, nil)
		wantErr(t, "delete", s.DeleteSubscription(ctx, key, sub.ID), nil)
	}
	key := newKey()
	refused := func(subscriber string) {
		t.Helper()
		_, err := subscribeAsking(ctx, s, key, subscriber)
		wantErr(t, "create", err, protocol.ErrTooManyConfirmations)
		if protocol.DetailOf(err) != "to this subscriber" {
			t.Errorf("the error's detail is %q", protocol.DetailOf(err))
		}
	}
	refused("mailto:a@example.com")
	refused("mailto:a@example.com,c@example.com")
	if n := w.number(`SELECT count(*) FROM subscription`); n != 0 {
		t.Errorf("%d subscriptions were made all the same", n)
	}
	// What is refused counts nothing: c has had none, b one.
	for _, subscriber := range []string{"mailto:c@example.com?subject=1", "mailto:c@example.com?subject=2", "mailto:c@example.com,b@example.com"} {
		_, err := subscribeAsking(ctx, s, key, subscriber)
		wantErr(t, "create", err, nil)
	}
	sub := &protocol.Subscription{Queue: key, Subscriber: "mailto:a@example.com", TTL: 600}
	wantErr(t, "create without a request", s.CreateSubscription(ctx, sub, false), nil)
	w.exec(`UPDATE confirmation_quota SET until = now()`)
	_, err := subscribeAsking(ctx, s, newKey(), "mailto:a@example.com")
	wantErr(t, "create an hour later", err, nil)
	w.exec(`UPDATE confirmation_quota SET until = now() WHERE remaining = 2`)
	wantErr(t, "sweep", newSweeper(s).repeat(ctx, sqlOldQuotas), nil)
	if n := w.number(`SELECT count(*) FROM confirmation_quota WHERE until <= now()`); n != 0 {
		t.Errorf("%d quotas are left that are over", n)
	}
}

// Who asks again for a subscription that exists spends the address's requests, too.
func TestConfirmationsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", asks(0, 2, 100)), newKey(), t.Context()
	for _, want := range []error{nil, protocol.ErrSubscriptionExists, protocol.ErrTooManyConfirmations} {
		_, err := subscribeAsking(ctx, s, key, "http://h/")
		wantErr(t, "create", err, want)
	}
	_, err := subscribeAsking(ctx, s, key, "http://H:80/other")
	wantErr(t, "create for the same host", err, protocol.ErrTooManyConfirmations)
	_, err = subscribeAsking(ctx, s, key, "http://h:81/")
	wantErr(t, "create for another port", err, nil)
}

// A project has so many requests in an hour, also when it asks for many at once.
func TestConfirmationsPerProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, ctx := w.store("", asks(0, 100, 5)), t.Context()
	var made atomic.Int32
	var all errgroup.Group
	for i := range 20 {
		all.Go(func() error {
			_, err := subscribeAsking(ctx, s, protocol.QueueKey{Project: "p", Name: fmt.Sprint("q", i)}, fmt.Sprint("http://h", i))
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, protocol.ErrTooManyConfirmations) || protocol.DetailOf(err) != "by this project" {
				return err
			}
			return nil
		})
	}
	wantErr(t, "create", all.Wait(), nil)
	if made.Load() != 5 {
		t.Errorf("%d requests were admitted, want 5", made.Load())
	}
	_, err := subscribeAsking(ctx, s, protocol.QueueKey{Project: "other", Name: "q"}, "http://h1")
	wantErr(t, "create in another project", err, nil)
}
