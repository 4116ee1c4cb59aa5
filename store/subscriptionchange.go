package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// updateSQL changes the subscriber to $4, the TTL to $5 and the options to $6, as far as they are not null. A
// subscription that does not count any more goes out of the way of the new subscriber. Who has a new address
// need not wait as long as the old one had to, and where subscribers are to confirm, it has to.
const updateSQL = `
WITH locked AS MATERIALIZED (
	SELECT s.id, s.subscriber <> $4::text AS moved, ` + liveSubscriptionSQL + ` AS lives FROM subscription s
	WHERE s.id = ANY (ARRAY[$3::uuid] || ARRAY(
		SELECT o.id FROM subscription o WHERE o.project = $1 AND o.queue_name = $2 AND o.subscriber = $4::text))
	ORDER BY s.id FOR UPDATE OF s
), over AS (
	DELETE FROM subscription s USING locked l WHERE s.id = l.id AND l.id <> $3 AND NOT l.lives RETURNING 1
), changed AS (
	UPDATE subscription s SET
		subscriber = coalesce($4, s.subscriber), ttl = coalesce($5, s.ttl), options = coalesce($6, s.options),
		expires_at = CASE WHEN $5::int IS NULL THEN s.expires_at ELSE now() + $5::int * interval '1 s' END,
		confirmed = s.confirmed AND NOT (s.must_confirm AND coalesce(l.moved, false)), version = s.version + 1
	FROM locked l
	WHERE s.id = l.id AND s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND l.lives
		AND (SELECT count(*) FROM over) >= 0
	RETURNING s.id, s.expires_at, s.gateway_id, s.confirmed, s.must_confirm, coalesce(l.moved, false) AS moved
), noted AS (
	UPDATE delivery d SET confirmed = c.confirmed, confirm = c.must_confirm, attempts = 0, next_attempt = '-infinity'
	FROM changed c WHERE d.subscription_id = c.id AND c.moved
), watched AS (
	INSERT INTO queue_watch AS w (queue_id, observed_until)
	SELECT q.id, c.expires_at FROM changed c, queue q JOIN queue_seq n ON n.id = q.id
	WHERE q.project = $1 AND q.name = $2 AND c.gateway_id IS NULL` + watchSQL + `
)
SELECT count(*) FROM changed`

// UpdateSubscription changes a subscription; what change leaves nil stays. A durable one keeps its cursor. It returns
// ErrNoSubscription, or ErrSubscriptionExists when another subscription to the queue has that subscriber.
func (s *Store) UpdateSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, change protocol.SubscriptionChange) error {
	batch := &pgx.Batch{}
	var found int64
	batch.Queue(updateSQL, key.Project, key.Name, id, change.Subscriber, change.TTL, change.Options).
		QueryRow(func(row pgx.Row) error { return row.Scan(&found) })
	if change.TTL != nil { // it may have become shorter
		s.queueUnwatch(batch, key)
	}
	err := s.pool.SendBatch(ctx, batch).Close()
	switch {
	case sqlState(err) == codeUniqueViolation:
		err = protocol.ErrSubscriptionExists
	case err == nil && found == 0:
		err = protocol.ErrNoSubscription
	}
	if err != nil {
		return fmt.Errorf("update subscription: %w", s.classifyWrite(err))
	}
	s.subscriptionsChanged(key)
	return nil
}

const confirmSQL = `
WITH changed AS (
	UPDATE subscription s SET confirmed = $4, version = s.version + 1
	WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + ` RETURNING s.id
), noted AS (
	UPDATE delivery d SET confirmed = $4, confirm = false, attempts = CASE WHEN d.confirm THEN 0 ELSE d.attempts END,
		next_attempt = CASE WHEN d.confirm THEN '-infinity' ELSE d.next_attempt END
	FROM changed c WHERE d.subscription_id = c.id
)
SELECT id FROM changed`

// ConfirmSubscription notes that the subscriber wants the messages, or not; it is not asked any more. What was
// posted before it confirmed, since the subscription was made, is delivered too. It returns ErrNoSubscription.
func (s *Store) ConfirmSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, confirmed bool) error {
	tag, err := s.pool.Exec(ctx, confirmSQL, key.Project, key.Name, id, confirmed)
	if err == nil && tag.RowsAffected() == 0 {
		err = protocol.ErrNoSubscription
	}
	if err != nil {
		return fmt.Errorf("confirm subscription: %w", s.classifyWrite(err))
	}
	s.subscriptionsChanged(key)
	return nil
}

// validSecretsSQL is an array of the secrets of subscription s that are valid, the newest first.
const validSecretsSQL = `ARRAY(
	SELECT x.secret FROM unnest(s.secrets, s.secrets_until) WITH ORDINALITY AS x(secret, until, n)
	WHERE x.until > now() ORDER BY x.n)`

const (
	secretsSQL = `
SELECT ` + validSecretsSQL + ` FROM subscription s
WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL
	// secretsRotateSQL puts the secret $4 first. Those before it, of which two stay, are valid for a day more at most.
	secretsRotateSQL = `
UPDATE subscription s SET version = s.version + 1,
	secrets = ARRAY[$4::bytea] || ARRAY(
		SELECT x.secret FROM unnest(s.secrets, s.secrets_until) WITH ORDINALITY AS x(secret, until, n)
		WHERE x.until > now() ORDER BY x.n LIMIT 2),
	secrets_until = ARRAY['infinity'::timestamptz] || ARRAY(
		SELECT LEAST(x.until, now() + interval '1 day') FROM unnest(s.secrets, s.secrets_until) WITH ORDINALITY AS x(secret, until, n)
		WHERE x.until > now() ORDER BY x.n LIMIT 2)
WHERE s.id = $3 AND s.project = $1 AND s.queue_name = $2 AND s.gateway_id IS NULL AND ` + liveSubscriptionSQL + `
RETURNING s.secrets`
)

// SubscriptionSecrets returns the secrets that sign a webhook's requests, at most three, the newest first; none for a
// socket's subscription. With rotate, a new one is made first, and the one before it stays valid for a day. It returns
// ErrNoSubscription.
func (s *Store) SubscriptionSecrets(ctx context.Context, key protocol.QueueKey, id uuid.UUID, rotate bool) (secrets [][]byte, err error) {
	var row pgx.Row
	if rotate {
		row = s.pool.QueryRow(ctx, secretsRotateSQL, key.Project, key.Name, id, newSecret())
	} else {
		row = s.pool.QueryRow(ctx, secretsSQL, key.Project, key.Name, id)
	}
	err = row.Scan(&secrets)
	if errors.Is(err, pgx.ErrNoRows) {
		err = protocol.ErrNoSubscription
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", s.classifyWrite(err))
	}
	if rotate {
		s.subscriptionsChanged(key)
	}
	return secrets, nil
}
