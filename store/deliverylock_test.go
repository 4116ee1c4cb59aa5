package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol"
)

// Everything that is done to durable subscriptions, by deliverers and others of two gateways at once, keeps the lock
// order: the test's cluster reports every deadlock.
func TestDeliveryLockOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	edit := func(c *Config) {
		sweeping(c)
		c.Deliveries.DeadDeliveries = 3
		// Past these nothing would be done any more.
		c.Deliveries.ConfirmationsPerAddress, c.Deliveries.ConfirmationsPerProject = 1_000_000, 1_000_000
	}
	stores := []*Store{w.store("", edit), w.store("", edit)}
	keys := []protocol.QueueKey{newKey(), newKey()}
	var all errgroup.Group
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for i := range 4 {
		s, random := stores[i%2], rand.New(rand.NewPCG(uint64(i), 1))
		all.Go(func() error { return untilOver(ctx, func() error { return deliverOnce(ctx, s, random) }) })
		all.Go(func() error {
			return untilOver(ctx, func() error { return meddleOnce(ctx, s, keys[rand.IntN(2)], rand.IntN) })
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if n := w.number(`SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT FROM subscription s WHERE s.id = d.subscription_id)`); n != 0 {
		t.Errorf("%d deliveries without a subscription", n)
	}
}

// untilOver repeats do until ctx ends, or there is an error that is not to be expected.
func untilOver(ctx context.Context, do func() error) error {
	expected := []error{
		protocol.ErrLeaseLost, protocol.ErrNoSubscription, protocol.ErrSubscriptionExists, protocol.ErrNoQueue,
		protocol.ErrUnavailable, // a queue that comes and goes
	}
	for ctx.Err() == nil {
		err := do()
		if err != nil && ctx.Err() == nil && !slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }) {
			return err
		}
	}
	return nil
}

// deliverOnce does what a deliverer does.
func deliverOnce(ctx context.Context, s *Store, random *rand.Rand) error {
	held, err := s.LeaseDurable(ctx, 5, time.Minute, true)
	if err != nil {
		return err
	}
	var leases []protocol.Lease
	for _, d := range held {
		leases = append(leases, d.Lease)
	}
	random.Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
	var errs []error
	for _, d := range held {
		p := protocol.Progress{QueueID: d.QueueID + int64(random.IntN(2)), Cursor: d.Cursor + 1}
		dead, err := s.PendingResends(ctx, d.Lease, 2)
		errs = append(errs, err, s.SaveProgress(ctx, d.Lease, p))
		for range 4 {
			errs = append(errs, s.BuryDelivery(ctx, d.Lease, p, protocol.DeadDelivery{}))
		}
		for _, x := range dead {
			errs = append(errs, s.FinishResend(ctx, d.Lease, x.ID, random.IntN(2) > 0, "x"))
		}
	}
	_, err = s.RenewDurable(ctx, leases, time.Minute)
	errs = append(errs, err, s.ReleaseDurable(ctx, leases))
	for _, err := range errs {
		if err != nil && !errors.Is(err, protocol.ErrLeaseLost) {
			return err
		}
	}
	return nil
}

// meddleOnce does what everybody else does.
func meddleOnce(ctx context.Context, s *Store, key protocol.QueueKey, random func(int) int) error {
	name := fmt.Sprint("http://h/", random(6))
	sub := &protocol.Subscription{Queue: key, Subscriber: name, TTL: 100}
	if err := s.CreateSubscription(ctx, sub, random(2) > 0); err != nil && !errors.Is(err, protocol.ErrSubscriptionExists) {
		return err
	}
	ttl, other := int32(random(10)*100), fmt.Sprint("http://h/", random(6))
	switch n := random(100); {
	case n < 20:
		return s.UpdateSubscription(ctx, key, sub.ID, protocol.SubscriptionChange{TTL: &ttl, Subscriber: &other})
	case n < 30:
		return s.ConfirmSubscription(ctx, key, sub.ID, random(2) > 0)
	case n < 60:
		_, err := s.ResendDeliveries(ctx, key, sub.ID, nil)
		return err
	case n < 75:
		_, err := s.DeleteDeliveries(ctx, key, sub.ID, nil)
		return err
	case n < 80:
		return s.DeleteSubscription(ctx, key, sub.ID)
	case n < 83:
		return s.PurgeQueue(ctx, key, true, true)
	case n < 84:
		return s.DeleteQueue(ctx, key)
	default:
		_, err := s.SubscriptionSecrets(ctx, key, sub.ID, true)
		return err
	}
}
