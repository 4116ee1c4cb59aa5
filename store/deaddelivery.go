package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Rows of dead_delivery are changed under the lock of their row of delivery; only the sweeper takes them without it.

// deadColumns are what scanDead reads. They are null where there is no dead delivery x.
const deadColumns = `x.id, x.queue_id, x.n, x.inbox, x.body, x.codec, x.ttl, x.attempts, x.reason, x.failed_at, x.resend`

// freshDeadSQL is the condition under which dead delivery x counts. It is put so that no plan uses the index of expiry for
// it, which would read everybody's.
const freshDeadSQL = `(x.expires_at > now()) IS TRUE`

// scanDead reads deadColumns and appends the dead delivery, if there is one.
func scanDead(rows pgx.Rows) (dead []protocol.DeadDelivery, found bool, err error) {
	defer rows.Close()
	for rows.Next() {
		found = true
		if rows.RawValues()[0] == nil {
			continue
		}
		var d protocol.DeadDelivery
		var codec int16
		var attempts int32
		err := rows.Scan(&d.ID, &d.MessageID.Queue, &d.MessageID.N, &d.MessageID.Inbox, &d.Body, &codec, &d.TTL, &attempts,
			&d.Reason, &d.Failed, &d.Resend)
		if err != nil {
			return nil, found, err
		}
		d.Codec, d.Attempts, d.Failed = protocol.Codec(codec), int(attempts), d.Failed.UTC()
		dead = append(dead, d)
	}
	return dead, found, rows.Err()
}

// storable makes any text one that PostgreSQL stores: valid UTF-8 without NUL.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

const deadDeliveriesSQL = `
SELECT ` + deadColumns + `
FROM subscription s LEFT JOIN LATERAL (
	SELECT * FROM dead_delivery x WHERE x.subscription_id = s.id AND x.id > $4 AND ` + freshDeadSQL + `
	ORDER BY x.id LIMIT $5
) x ON true
WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + `
ORDER BY x.id`

// DeadDeliveries lists what could not be delivered to a subscriber, oldest first: up to limit of those after the id
// marker. It returns ErrNoSubscription.
func (s *Store) DeadDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, marker int64, limit int) ([]protocol.DeadDelivery, error) {
	rows, err := s.pool.Query(ctx, deadDeliveriesSQL, key.Project, key.Name, id, marker, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead deliveries: %w", s.classify(err))
	}
	dead, found, err := scanDead(rows)
	if err != nil {
		return nil, fmt.Errorf("list dead deliveries: %w", s.classify(err))
	}
	if !found {
		return nil, fmt.Errorf("list dead deliveries: %w", protocol.ErrNoSubscription)
	}
	return dead, nil
}

const droppedDeliveriesSQL = `
SELECT coalesce(d.dropped, 0) FROM subscription s LEFT JOIN delivery d ON d.subscription_id = s.id
WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL

// DroppedDeliveries returns how many dead deliveries of a subscription had to go for newer ones, ever. It returns
// ErrNoSubscription.
func (s *Store) DroppedDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID) (n int64, err error) {
	err = s.pool.QueryRow(ctx, droppedDeliveriesSQL, key.Project, key.Name, id).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		err = protocol.ErrNoSubscription
	}
	if err != nil {
		return 0, fmt.Errorf("count dropped deliveries: %w", s.classify(err))
	}
	return n, nil
}

// Both return how many subscriptions and how many dead deliveries there were.
const (
	resendDeliveriesSQL = `
WITH sub AS (
	UPDATE subscription s SET version = s.version + 1
	WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + ` RETURNING s.id
), mine AS (
	UPDATE delivery d SET resends = true FROM sub WHERE d.subscription_id = sub.id RETURNING d.subscription_id AS id
), marked AS (
	UPDATE dead_delivery x SET resend = true FROM mine m
	WHERE x.subscription_id = m.id AND ($4::bigint[] IS NULL OR x.id = ANY ($4::bigint[])) AND ` + freshDeadSQL + `
	RETURNING 1
)
SELECT (SELECT count(*) FROM sub), (SELECT count(*) FROM marked)`
	deleteDeliveriesSQL = `
WITH sub AS MATERIALIZED (
	SELECT s.id FROM subscription s
	WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + `
), mine AS MATERIALIZED (
	SELECT d.subscription_id AS id FROM sub JOIN delivery d ON d.subscription_id = sub.id FOR NO KEY UPDATE OF d
), gone AS (
	DELETE FROM dead_delivery x USING mine m
	WHERE x.subscription_id = m.id AND ($4::bigint[] IS NULL OR x.id = ANY ($4::bigint[]))
	RETURNING x.expires_at > now() AS counts
)
SELECT (SELECT count(*) FROM sub), (SELECT count(*) FROM gone WHERE counts)`
)

// ResendDeliveries has dead deliveries sent again by whoever delivers for the subscription: those of ids, or all if ids
// is nil. It returns how many they are, and ErrNoSubscription.
func (s *Store) ResendDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (int64, error) {
	n, err := s.onDead(ctx, "resend deliveries", resendDeliveriesSQL, key, id, ids)
	if n > 0 {
		s.subscriptionsChanged(key)
	}
	return n, err
}

// DeleteDeliveries forgets dead deliveries: those of ids, or all if ids is nil. It returns how many they were, and
// ErrNoSubscription.
func (s *Store) DeleteDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (int64, error) {
	return s.onDead(ctx, "delete dead deliveries", deleteDeliveriesSQL, key, id, ids)
}

func (s *Store) onDead(ctx context.Context, what, sql string, key protocol.QueueKey, id uuid.UUID, ids []int64) (n int64, err error) {
	var subs int64
	if err := s.pool.QueryRow(ctx, sql, key.Project, key.Name, id, ids).Scan(&subs, &n); err != nil {
		return 0, fmt.Errorf("%s: %w", what, s.classifyWrite(err))
	}
	if subs == 0 {
		return 0, fmt.Errorf("%s: %w", what, protocol.ErrNoSubscription)
	}
	return n, nil
}

// Looking for dead deliveries to send again takes a transaction of three statements. The first waits for whoever is
// about to mark some; the later ones' snapshots have the marks. The last notes that there are none, if so.
const (
	resendsLockSQL    = `SELECT d.subscription_id FROM delivery d WHERE ` + heldSQL + ` FOR NO KEY UPDATE`
	resendsPendingSQL = `
SELECT ` + deadColumns + ` FROM dead_delivery x
WHERE x.subscription_id = $1 AND x.resend AND ` + freshDeadSQL + ` ORDER BY x.id LIMIT $2`
	resendsNoneSQL = `
UPDATE delivery d SET resends = false WHERE ` + heldSQL + ` AND d.resends AND NOT EXISTS (
	SELECT FROM dead_delivery x WHERE x.subscription_id = $1 AND x.resend AND ` + freshDeadSQL + `)`
)

// PendingResends returns up to limit dead deliveries that are to be sent again, oldest first. Once there are none, the
// subscription's Resends is false. It returns ErrLeaseLost.
func (s *Store) PendingResends(ctx context.Context, l protocol.Lease, limit int) (dead []protocol.DeadDelivery, err error) {
	held := false
	batch := &pgx.Batch{}
	batch.Queue(resendsLockSQL, l.ID, s.id, l.Token).Query(func(rows pgx.Rows) error {
		held = rows.Next()
		rows.Close()
		return rows.Err()
	})
	batch.Queue(resendsPendingSQL, l.ID, limit).Query(func(rows pgx.Rows) (err error) {
		dead, _, err = scanDead(rows)
		return err
	})
	batch.Queue(resendsNoneSQL, l.ID, s.id, l.Token)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("look for resends: %w", s.classifyWrite(err))
	}
	if !held {
		return nil, fmt.Errorf("look for resends: %w", protocol.ErrLeaseLost)
	}
	return dead, nil
}

// Both return a row if the lease is held. A dead delivery that was deleted meanwhile is no error.
const (
	resendDoneSQL = `
WITH mine AS MATERIALIZED (
	SELECT d.subscription_id AS id FROM delivery d WHERE ` + heldSQL + ` FOR NO KEY UPDATE
), gone AS (
	DELETE FROM dead_delivery x USING mine m WHERE x.subscription_id = m.id AND x.id = $4
)
SELECT id FROM mine`
	resendFailedSQL = `
WITH mine AS MATERIALIZED (
	SELECT d.subscription_id AS id FROM delivery d WHERE ` + heldSQL + ` FOR NO KEY UPDATE
), dead AS (
	UPDATE dead_delivery x SET resend = false, attempts = x.attempts + 1, reason = $5, failed_at = now()
	FROM mine m WHERE x.subscription_id = m.id AND x.id = $4
)
SELECT id FROM mine`
)

// FinishResend notes how sending a dead delivery again ended. Delivered, it is gone; else it stays, with one attempt
// more and the reason, until somebody has it sent again. It returns ErrLeaseLost.
func (s *Store) FinishResend(ctx context.Context, l protocol.Lease, id int64, delivered bool, reason string) error {
	if delivered {
		return s.underLease(ctx, "finish resend", resendDoneSQL, l.ID, s.id, l.Token, id)
	}
	return s.underLease(ctx, "finish resend", resendFailedSQL, l.ID, s.id, l.Token, id, storable(reason))
}
