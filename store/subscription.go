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

// The row of a subscription that does not count any more must not stand in the way of a new one.
const subscriptionCreateSQL = `
INSERT INTO subscription AS s (id, project, queue_name, subscriber, ttl, expires_at, options, confirmed, gateway_id)
VALUES ($1, $2, $3, $4, $5, now() + $5::int * interval '1 s', $6, $7, $8)
ON CONFLICT (project, queue_name, subscriber) DO UPDATE SET
	id = EXCLUDED.id, n = DEFAULT, ttl = EXCLUDED.ttl, created_at = now(), expires_at = EXCLUDED.expires_at,
	options = EXCLUDED.options, confirmed = EXCLUDED.confirmed, gateway_id = EXCLUDED.gateway_id, cursor = NULL
WHERE NOT (` + liveSubscriptionSQL + `)
RETURNING s.id`

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

// CreateSubscription stores a subscription, and makes its queue if that is missing. A zero ID is set to a new one. A
// socket's subscription counts for as long as this gateway is alive, at most. ErrSubscriptionExists: the subscriber
// has one to that queue.
func (s *Store) CreateSubscription(ctx context.Context, sub *protocol.Subscription) error {
	if _, err := s.resolve(ctx, sub.Queue, true); err != nil {
		return fmt.Errorf("create subscription: %w", err)
	}
	if sub.ID == uuid.Nil {
		sub.ID = uuid.New()
	}
	var gateway *uuid.UUID
	if sub.Socket {
		gateway = &s.id
	}
	options := sub.Options
	if options == nil {
		options = []byte("{}")
	}
	var id uuid.UUID
	err := s.pool.QueryRow(ctx, subscriptionCreateSQL, sub.ID, sub.Queue.Project, sub.Queue.Name, sub.Subscriber,
		sub.TTL, options, sub.Confirmed, gateway).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows), sqlState(err) == codeUniqueViolation:
		return fmt.Errorf("create subscription: %w", protocol.ErrSubscriptionExists)
	case err != nil:
		return fmt.Errorf("create subscription: %w", s.classifyWrite(err))
	}
	return nil
}

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

// DeleteSubscription ends a subscription of a queue. One that does not exist is no error.
func (s *Store) DeleteSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) error {
	rows, err := s.pool.Query(ctx, subscriptionDeleteSQL, key.Project, key.Name, id)
	if err != nil {
		return fmt.Errorf("delete subscription: %w", s.classifyWrite(err))
	}
	gateways, err := pgx.CollectRows(rows, pgx.RowTo[*uuid.UUID])
	if err != nil {
		return fmt.Errorf("delete subscription: %w", s.classifyWrite(err))
	}
	s.subscriptionsEnded(key, gateways)
	return nil
}

// SubscriptionObserver is an Observer that also wants to know of subscriptions that ended.
type SubscriptionObserver interface {
	// SubscriptionsEnded is called after subscriptions to q that push to sockets of other gateways were deleted or
	// purged. Like the methods of Observer it must not block and must not call the store.
	SubscriptionsEnded(q protocol.QueueKey)
}

// subscriptionsEnded tells the observer if one of the subscriptions, which belonged to these gateways, was another
// gateway's: that gateway goes on pushing until it hears of it.
func (s *Store) subscriptionsEnded(key protocol.QueueKey, gateways []*uuid.UUID) {
	observer, ok := s.observer.(SubscriptionObserver)
	if ok && slices.ContainsFunc(gateways, func(id *uuid.UUID) bool { return id != nil && *id != s.id }) {
		observer.SubscriptionsEnded(key)
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
