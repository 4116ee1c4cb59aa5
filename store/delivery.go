package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// A durable subscription is delivered by the gateway that has its lease, and only under the token of that lease: every
// write of the deliverer's checks it in the row that it changes.

// heldSQL is the condition under which a row of delivery d is leased to the gateway $2 under the token $3; $1 is
// the subscription.
const heldSQL = `d.subscription_id = $1 AND d.lease_holder = $2 AND d.lease_token = $3 AND d.lease_until > now()`

// durableColumns are what scanDurable reads, of subscription s, delivery d and queue q.
const durableColumns = `s.id, d.lease_token, s.project, s.queue_name, s.subscriber, s.ttl,
	GREATEST(0, floor(extract(epoch FROM now() - s.created_at)))::int, s.options, s.confirmed, s.version,
	d.queue_id, d.cursor, d.attempts,
	CASE WHEN d.next_attempt > now() THEN (extract(epoch FROM d.next_attempt - now()) * 1000000)::bigint ELSE 0 END,
	d.confirm, d.resends, ` + validSecretsSQL + `, q.metadata`

// leaseTakeSQL leases to $1, for $3 ms, at most $2 durable subscriptions that nobody has: those with one of the values
// $4 of active.
const leaseTakeSQL = `
WITH free AS MATERIALIZED (
	SELECT d.subscription_id AS id FROM delivery d JOIN subscription s ON s.id = d.subscription_id
	WHERE d.active = ANY ($4::boolean[]) AND d.lease_until <= now() AND s.expires_at > now()
	LIMIT $2 FOR NO KEY UPDATE OF d SKIP LOCKED
), d AS (
	UPDATE delivery d SET lease_holder = $1, lease_token = d.lease_token + 1,
		lease_until = now() + $3::bigint * interval '1 ms'
	FROM free f WHERE d.subscription_id = f.id
	RETURNING d.*
)
SELECT ` + durableColumns + `
FROM d JOIN subscription s ON s.id = d.subscription_id
LEFT JOIN queue q ON q.project = s.project AND q.name = s.queue_name`

// LeaseDurable leases up to limit durable subscriptions that no gateway has, to this one, for the given time by the
// database's clock. Without unconfirmed those are left out whose subscriber has not confirmed, unless it is yet to be
// asked or there are dead deliveries to send again. Expired subscriptions are never leased.
func (s *Store) LeaseDurable(ctx context.Context, limit int, lease time.Duration, unconfirmed bool) ([]protocol.Durable, error) {
	if limit <= 0 {
		return nil, nil
	}
	active := []bool{true}
	if unconfirmed {
		active = []bool{true, false}
	}
	rows, err := s.pool.Query(ctx, leaseTakeSQL, s.id, limit, lease.Milliseconds(), active)
	if err != nil {
		return nil, fmt.Errorf("lease subscriptions: %w", s.classifyWrite(err))
	}
	leased, err := pgx.CollectRows(rows, scanDurable)
	if err != nil {
		return nil, fmt.Errorf("lease subscriptions: %w", s.classifyWrite(err))
	}
	return leased, nil
}

// scanDurable reads durableColumns.
func scanDurable(row pgx.CollectableRow) (d protocol.Durable, err error) {
	sub := &d.Subscription
	var wait int64 // microseconds
	var metadata []byte
	err = row.Scan(&d.ID, &d.Token, &sub.Queue.Project, &sub.Queue.Name, &sub.Subscriber, &sub.TTL, &sub.Age, &sub.Options,
		&sub.Confirmed, &d.Version, &d.QueueID, &d.Cursor, &d.Attempts, &wait, &d.Confirm, &d.Resends, &d.Secrets, &metadata)
	sub.ID = d.ID
	d.Wait = time.Duration(wait) * time.Microsecond
	d.Policy = retryPolicy(metadata)
	return d, err
}

// retryPolicy returns the _retry_policy of a queue's metadata, nil if there is none.
func retryPolicy(metadata []byte) []byte {
	var fields struct {
		Policy json.RawMessage `json:"_retry_policy"`
	}
	// The gateway checks metadata when they are set; what cannot be read has no policy.
	if metadata == nil || json.Unmarshal(metadata, &fields) != nil || string(fields.Policy) == "null" {
		return nil
	}
	return fields.Policy
}

const durableReadSQL = `
SELECT ` + durableColumns + `
FROM delivery d JOIN subscription s ON s.id = d.subscription_id AND s.expires_at > now()
LEFT JOIN queue q ON q.project = s.project AND q.name = s.queue_name
WHERE ` + heldSQL

// ReadDurable reads a leased subscription as it is now. ErrLeaseLost: the lease is over, or the subscription is.
func (s *Store) ReadDurable(ctx context.Context, l protocol.Lease) (*protocol.Durable, error) {
	rows, err := s.pool.Query(ctx, durableReadSQL, l.ID, s.id, l.Token)
	if err != nil {
		return nil, fmt.Errorf("read leased subscription: %w", s.classify(err))
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDurable)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read leased subscription: %w", protocol.ErrLeaseLost)
	}
	if err != nil {
		return nil, fmt.Errorf("read leased subscription: %w", s.classify(err))
	}
	return &d, nil
}

// heldOnesSQL chooses and locks those of the leases (id, token) in $2 and $3 that $1 still has. The rows of expired
// subscriptions are left to whoever removes them.
const heldOnesSQL = `
WITH held AS MATERIALIZED (
	SELECT d.subscription_id AS id, s.version
	FROM unnest($2::uuid[], $3::bigint[]) AS x(id, token) JOIN delivery d ON d.subscription_id = x.id
	JOIN subscription s ON s.id = x.id
	WHERE d.lease_holder = $1 AND d.lease_token = x.token AND d.lease_until > now() AND s.expires_at > now()
	ORDER BY d.subscription_id FOR NO KEY UPDATE OF d
)`

const (
	leaseRenewSQL = heldOnesSQL + `
UPDATE delivery d SET lease_until = now() + $4::bigint * interval '1 ms' FROM held h WHERE d.subscription_id = h.id
RETURNING h.id, h.version`
	leaseReleaseSQL = heldOnesSQL + `
UPDATE delivery d SET lease_until = now() FROM held h WHERE d.subscription_id = h.id`
	// leaseReleaseAllSQL gives back what a gateway still has when it leaves.
	leaseReleaseAllSQL = `
UPDATE delivery SET lease_until = now() WHERE subscription_id = ANY (ARRAY (
	SELECT subscription_id FROM delivery
	WHERE active = ANY ('{true,false}') AND lease_until > now() AND lease_holder = $1 FOR NO KEY UPDATE SKIP LOCKED))`
)

// leasesPerStatement bounds the rows that a statement on leases holds.
const leasesPerStatement = 1000

// RenewDurable makes leases last for the given time from now. It returns the state of those that this gateway still
// has; one that is missing is lost, or its subscription is over.
func (s *Store) RenewDurable(ctx context.Context, leases []protocol.Lease, lease time.Duration) ([]protocol.DurableState, error) {
	states := make([]protocol.DurableState, 0, len(leases))
	err := eachLeases(leases, func(ids []uuid.UUID, tokens []int64) error {
		rows, err := s.pool.Query(ctx, leaseRenewSQL, s.id, ids, tokens, lease.Milliseconds())
		if err != nil {
			return err
		}
		var state protocol.DurableState
		_, err = pgx.ForEachRow(rows, []any{&state.ID, &state.Version}, func() error {
			states = append(states, state)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("renew leases: %w", s.classifyWrite(err))
	}
	return states, nil
}

// ReleaseDurable ends leases, so that others need not wait for them to run out. Those that are lost are ignored.
func (s *Store) ReleaseDurable(ctx context.Context, leases []protocol.Lease) error {
	err := eachLeases(leases, func(ids []uuid.UUID, tokens []int64) error {
		_, err := s.pool.Exec(ctx, leaseReleaseSQL, s.id, ids, tokens)
		return err
	})
	if err != nil {
		return fmt.Errorf("release leases: %w", s.classifyWrite(err))
	}
	return nil
}

// eachLeases calls do with a statement's worth of leases at a time.
func eachLeases(leases []protocol.Lease, do func(ids []uuid.UUID, tokens []int64) error) error {
	for len(leases) > 0 {
		n := min(len(leases), leasesPerStatement)
		ids, tokens := make([]uuid.UUID, n), make([]int64, n)
		for i, l := range leases[:n] {
			ids[i], tokens[i] = l.ID, l.Token
		}
		if err := do(ids, tokens); err != nil {
			return err
		}
		leases = leases[n:]
	}
	return nil
}
