package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// liveSubscriptionSQL is the condition under which a row of subscription s counts: it has not expired, and its
// gateway, if it belongs to one, is alive.
const liveSubscriptionSQL = `s.expires_at > now() AND (s.gateway_id IS NULL
	OR EXISTS (SELECT FROM gateway g WHERE g.id = s.gateway_id AND g.lease_until > now()))`

const subscriptionColumns = `s.id, s.subscriber, s.ttl,
	GREATEST(0, floor(extract(epoch FROM now() - s.created_at)))::int, s.options, s.confirmed, s.gateway_id IS NOT NULL`

const (
	subscriptionsSQL = `
SELECT ` + subscriptionColumns + ` FROM subscription s
WHERE s.project = $1 AND s.queue_name = $2 AND s.n > $3 AND ` + liveSubscriptionSQL + `
ORDER BY s.n LIMIT $4`
	subscriptionSQL = `
SELECT ` + subscriptionColumns + ` FROM subscription s
WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL
	subscriptionPlaceSQL  = `SELECT n FROM subscription WHERE id = $3 AND project = $1 AND queue_name = $2`
	subscriptionDeleteSQL = `
DELETE FROM subscription WHERE id = $3 AND project = $1 AND queue_name = $2 RETURNING gateway_id`
	subscriptionsKnownSQL = `SELECT id FROM subscription WHERE id = ANY ($1::uuid[])`
	subscriptionsEndSQL   = `DELETE FROM subscription WHERE id = ANY ($1::uuid[]) AND gateway_id = $2`
)

// Subscriptions returns up to limit subscriptions to a queue in the order in which they were made, of all gateways,
// from after the one with the id marker on. A marker that is unknown lists nothing, as does a missing queue.
func (s *Store) Subscriptions(ctx context.Context, key protocol.QueueKey, marker string, limit int) ([]protocol.Subscription, error) {
	after := int64(0)
	if marker != "" {
		id, err := uuid.Parse(marker)
		if err != nil {
			return nil, nil // no subscription has such an id
		}
		err = s.pool.QueryRow(ctx, subscriptionPlaceSQL, key.Project, key.Name, id).Scan(&after)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list subscriptions: %w", s.classify(err))
		}
	}
	rows, err := s.pool.Query(ctx, subscriptionsSQL, key.Project, key.Name, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", s.classify(err))
	}
	subs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (protocol.Subscription, error) {
		return scanSubscription(row, key)
	})
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", s.classify(err))
	}
	return subs, nil
}

func scanSubscription(row pgx.CollectableRow, key protocol.QueueKey) (protocol.Subscription, error) {
	sub := protocol.Subscription{Queue: key}
	err := row.Scan(&sub.ID, &sub.Subscriber, &sub.TTL, &sub.Age, &sub.Options, &sub.Confirmed, &sub.Socket)
	return sub, err
}

// Subscription returns one subscription of a queue, or ErrNoSubscription.
func (s *Store) Subscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) (*protocol.Subscription, error) {
	rows, err := s.pool.Query(ctx, subscriptionSQL, key.Project, key.Name, id)
	if err != nil {
		return nil, fmt.Errorf("read subscription: %w", s.classify(err))
	}
	sub, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (protocol.Subscription, error) {
		return scanSubscription(row, key)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read subscription: %w", protocol.ErrNoSubscription)
	}
	if err != nil {
		return nil, fmt.Errorf("read subscription: %w", s.classify(err))
	}
	return &sub, nil
}

// DeleteSubscription ends a subscription of a queue, with its dead deliveries. One that does not exist is no error.
func (s *Store) DeleteSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) error {
	batch := &pgx.Batch{}
	var gateways []*uuid.UUID
	batch.Queue(subscriptionDeleteSQL, key.Project, key.Name, id).Query(func(rows pgx.Rows) (err error) {
		gateways, err = pgx.CollectRows(rows, pgx.RowTo[*uuid.UUID])
		return err
	})
	s.queueUnwatch(batch, key)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("delete subscription: %w", s.classifyWrite(err))
	}
	s.subscriptionsEnded(key, gateways)
	return nil
}

// SubscriptionObserver is an Observer that also wants to know of subscriptions that changed.
type SubscriptionObserver interface {
	// SubscriptionsChanged is called after a durable subscription to q was made, changed, confirmed, deleted or has
	// deliveries to be sent again, and after subscriptions that push to sockets of other gateways were deleted or purged.
	// Like the methods of Observer it must not block and must not call the store.
	SubscriptionsChanged(q protocol.QueueKey)
}

// subscriptionsChanged tells the observer of durable subscriptions.
func (s *Store) subscriptionsChanged(key protocol.QueueKey) {
	if observer, ok := s.observer.(SubscriptionObserver); ok {
		observer.SubscriptionsChanged(key)
	}
}

// subscriptionsEnded tells the observer if one of the subscriptions, which belonged to these gateways, was durable (no
// gateway's) or another gateway's: who serves it goes on until it hears of it.
func (s *Store) subscriptionsEnded(key protocol.QueueKey, gateways []*uuid.UUID) {
	if slices.ContainsFunc(gateways, func(id *uuid.UUID) bool { return id == nil || *id != s.id }) {
		s.subscriptionsChanged(key)
	}
}

// KnownSubscriptions returns those of ids that were neither deleted nor purged, by whomever.
func (s *Store) KnownSubscriptions(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, subscriptionsKnownSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("look for subscriptions: %w", s.classify(err))
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for subscriptions: %w", s.classify(err))
	}
	return known, nil
}

// EndSocketSubscriptions ends subscriptions of this gateway's sockets.
func (s *Store) EndSocketSubscriptions(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := s.pool.Exec(ctx, subscriptionsEndSQL, ids, s.id); err != nil {
		return fmt.Errorf("end socket subscriptions: %w", s.classifyWrite(err))
	}
	return nil
}
