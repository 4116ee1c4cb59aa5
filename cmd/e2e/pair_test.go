package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/protocol/client"
	"github.com/nusku-messaging/nusku/store/pgserver"
)

// pair starts two gateways on one database.
func pair(t *testing.T) (a, b *gateway) {
	t.Helper()
	dir, err := os.MkdirTemp(shared.dir, "pair-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	database, err := pgserver.Start(within(t), pgserver.Config{DataDir: filepath.Join(dir, "database"), Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the gateways: cleanups run last first
		ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own has ended
		defer cancel()
		if err := database.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	for i, g := range []**gateway{&a, &b} {
		one, err := startGateway(filepath.Join(dir, fmt.Sprint("gateway", i)), "--database-url="+database.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { one.end(t) })
		*g = one
	}
	return a, b
}

// TestTwoGatewaysPush: both post, and subscribers of either get everything, in the same order.
func TestTwoGatewaysPush(t *testing.T) {
	t.Parallel()
	const perGateway = 200
	a, b := pair(t)
	ctx := within(t)
	var subscriptions []*client.Subscription
	for _, g := range []*gateway{a, b, a, b} {
		s, err := g.dial(t, client.Options{}).Subscribe(ctx, "q", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		subscriptions = append(subscriptions, s)
	}
	var group errgroup.Group
	for i, g := range []*gateway{a, b} {
		c := g.dial(t, client.Options{})
		group.Go(func() error {
			for n := range perGateway {
				if _, err := c.Post(ctx, "q", client.NewMessage{Body: numbered{i*perGateway + n}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	messages, err := allMessages(ctx, a.dial(t, client.Options{}), "q")
	if err != nil || len(messages) != 2*perGateway {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	for i, s := range subscriptions {
		for j, m := range messages {
			event, err := s.Next(ctx)
			if err != nil || event.Kind != client.Pushed || string(event.Body) != string(m.Body) {
				t.Fatalf("subscriber %d, push %d is %s (%+v, %v), the queue has %s", i, j, event.Body, event.Gap, err, m.Body)
			}
		}
	}
}

// TestTwoGatewaysWork: workers on both share a queue; nothing is claimed twice, nothing is left.
func TestTwoGatewaysWork(t *testing.T) {
	t.Parallel()
	const tasks, ttl = 300, time.Minute
	a, b := pair(t)
	ctx := within(t)
	if err := postAll(ctx, a.dial(t, client.Options{}), "tasks", tasks); err != nil {
		t.Fatal(err)
	}
	l := &ledger{held: map[int]hold{}, done: map[int]int{}}
	over, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	for w := range 8 {
		g := a
		if w%2 == 1 {
			g = b
		}
		c := g.dial(t, client.Options{})
		group.Go(func() error { return work(over, c, l, w, tasks, ttl, stop) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(l.done) != tasks {
		t.Errorf("%d of %d tasks were done", len(l.done), tasks)
	}
}

// TestTwoGatewaysRelease: what is released on one gateway can be claimed on the other at once.
func TestTwoGatewaysRelease(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ctx := within(t)
	one, two := a.dial(t, client.Options{}), b.dial(t, client.Options{})
	if err := postAll(ctx, one, "q", 10); err != nil {
		t.Fatal(err)
	}
	claim, err := one.Claim(ctx, "q", client.ClaimOptions{Limit: 10})
	if err != nil || claim == nil {
		t.Fatal(claim, err)
	}
	if other, err := two.Claim(ctx, "q", client.ClaimOptions{Limit: 10}); err != nil || other != nil {
		t.Fatalf("claimed messages were claimed again: %v, %v", other, err)
	}
	if err := one.ReleaseClaim(ctx, "q", claim.ID); err != nil {
		t.Fatal(err)
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	start := time.Now()
	for {
		other, err := two.Claim(ctx, "q", client.ClaimOptions{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if other != nil {
			break
		}
		<-poll.C
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("released messages could be claimed elsewhere after %v only", took)
	}
}

// TestTwoGatewaysDelete: a queue that one gateway deletes is gone on the other too, and posting makes a new one.
func TestTwoGatewaysDelete(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ctx := within(t)
	one, two := a.dial(t, client.Options{}), b.dial(t, client.Options{})
	for round := range 5 {
		for _, c := range []*client.Client{one, two} {
			if _, err := c.Post(ctx, "q", client.NewMessage{Body: numbered{round}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []*client.Client{one, two} {
			messages, err := allMessages(ctx, c, "q")
			if err != nil || len(messages) != 2 {
				t.Fatalf("round %d: %d messages, %v; want 2", round, len(messages), err)
			}
		}
		if err := one.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		if messages, err := allMessages(ctx, two, "q"); err != nil || len(messages) != 0 {
			t.Fatalf("round %d: %d messages of a deleted queue, %v", round, len(messages), err)
		}
	}
}

// next is a subscription's next event, which must be of the kind.
func next(t *testing.T, s *client.Subscription, kind client.EventKind) client.Event {
	t.Helper()
	event, err := s.Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if event.Kind != kind {
		t.Fatalf("the next event is %+v, want kind %v", event, kind)
	}
	return event
}

// TestTwoGatewaysRecreate: a queue that is deleted and made again through one gateway goes on for subscribers of the
// other, who are told.
func TestTwoGatewaysRecreate(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ctx := within(t)
	one, two := a.dial(t, client.Options{}), b.dial(t, client.Options{})
	s, err := two.Subscribe(ctx, "q", client.SubscribeOptions{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		if _, err := one.Post(ctx, "q", client.NewMessage{Body: numbered{round}}); err != nil {
			t.Fatal(err)
		}
		if event := next(t, s, client.Pushed); string(event.Body) != fmt.Sprintf(`{"n":%d}`, round) {
			t.Fatalf("round %d: pushed %s", round, event.Body)
		}
		if err := one.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		if event := next(t, s, client.Gapped); event.Gap.Reason != protocol.GapDeleted || event.Gap.To >= event.Gap.From {
			t.Fatalf("round %d: gap %+v, want that of a deleted queue, of which nothing is lost", round, event.Gap)
		}
	}
}

// TestTwoGatewaysEndSubscription: a subscription that is removed through the other gateway ends, and its subscriber is
// told.
func TestTwoGatewaysEndSubscription(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, c *client.Client, id string) error{
		"subscription_delete": func(ctx context.Context, c *client.Client, id string) error {
			return c.DeleteSubscription(ctx, "q", id)
		},
		"queue_purge": func(ctx context.Context, c *client.Client, _ string) error {
			return c.PurgeQueue(ctx, "q", "subscriptions")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			ctx := within(t)
			one, two := a.dial(t, client.Options{}), b.dial(t, client.Options{})
			s, err := two.Subscribe(ctx, "q", client.SubscribeOptions{TTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			subscriptions, err := one.Subscriptions(ctx, "q", "", 0)
			if err != nil || len(subscriptions) != 1 {
				t.Fatalf("subscriptions %v, %v; want one", subscriptions, err)
			}
			if err := end(ctx, one, subscriptions[0].ID); err != nil {
				t.Fatal(err)
			}
			if event := next(t, s, client.Gapped); event.Gap.Reason != protocol.GapSubscriptionEnded {
				t.Errorf("the subscriber is told %+v", event.Gap)
			}
		})
	}
}
