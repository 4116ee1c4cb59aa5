package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// The row of a subscription that does not count any more must not stand in the way of a new one: it goes first, in the
// same statement, whose insert waits for its deletion by counting it.

// socketCreateSQL makes the subscription of a socket of gateway $7.
const socketCreateSQL = `
WITH over AS (
	DELETE FROM subscription s WHERE s.project = $2 AND s.queue_name = $3 AND s.subscriber = $4
		AND NOT (` + liveSubscriptionSQL + `) RETURNING 1
)
INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, options, confirmed, gateway_id)
SELECT $1::uuid, $2::text, $3::text, $4::text, $5::int, now() + $5::int * interval '1 s', $6::bytea, $8::boolean, $7::uuid
WHERE (SELECT count(*) FROM over) >= 0
ON CONFLICT (project, queue_name, subscriber) DO NOTHING
RETURNING id`

// durableCreateSQL makes a durable subscription to queue $7, with the secret $8, and notes the cursor from which it
// gets everything. $9 says whether the subscriber is to be asked for confirmation.
//
// The cursor is read under the lock of the queue's counter, which is held until the subscription and the observation are
// committed. A flush has that lock from before it numbers its messages until it has committed them. So one that came
// before has committed, and its messages are in the cursor; the messages of one that comes after have higher numbers, and
// whoever deletes them sees the observation and leaves tombstones. None is in between. It is one statement, so
// that a gateway that stalls does not hold up the queue's posts with the lock.
const durableCreateSQL = `
WITH counter AS MATERIALIZED (
	SELECT id, next_seq - 1 AS last FROM queue_seq WHERE id = $7 FOR NO KEY UPDATE
), over AS (
	DELETE FROM subscription s USING counter WHERE s.project = $2 AND s.queue_name = $3 AND s.subscriber = $4
		AND NOT (` + liveSubscriptionSQL + `) RETURNING 1
), made AS (
	INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, options, confirmed, must_confirm,
		asked_at, secrets, secrets_until)
	SELECT $1::uuid, $2::text, $3::text, $4::text, $5::int, now() + $5::int * interval '1 s', $6::bytea, $10::boolean,
		$9::boolean, CASE WHEN $9 THEN now() ELSE '-infinity'::timestamptz END, ARRAY[$8::bytea], ARRAY['infinity'::timestamptz]
	FROM counter WHERE (SELECT count(*) FROM over) >= 0
	ON CONFLICT (project, queue_name, subscriber) DO NOTHING
	RETURNING id, expires_at, confirmed
), watched AS (
	INSERT INTO queue_watch AS w (queue_id, observed_until) SELECT counter.id, made.expires_at FROM counter, made` + watchSQL + `
), noted AS (
	INSERT INTO delivery (subscription_id, queue_id, cursor, confirmed, confirm)
	SELECT made.id, counter.id, counter.last, made.confirmed, $9::boolean AND NOT made.confirmed FROM counter, made
)
SELECT (SELECT count(*) FROM counter) > 0, (SELECT count(*) FROM made) > 0`

// subscriptionOfSQL also says whether the subscriber's last request for confirmation was $4 ms ago.
const subscriptionOfSQL = `
SELECT s.id, s.confirmed, s.asked_at <= now() - $4::bigint * interval '1 ms' FROM subscription s
WHERE s.project = $1 AND s.queue_name = $2 AND s.subscriber = $3 AND ` + liveSubscriptionSQL

// confirmAgainSQL has the subscriber of a durable subscription asked for confirmation once more, unless that was done in
// the last $2 ms.
const confirmAgainSQL = `
WITH asked AS (
	UPDATE subscription s SET version = s.version + 1, must_confirm = true, asked_at = now()
	WHERE s.id = $1 AND s.gateway_id IS NULL AND NOT s.confirmed AND s.asked_at <= now() - $2::bigint * interval '1 ms'
	RETURNING s.id
)
UPDATE delivery d SET confirm = true, attempts = 0, next_attempt = '-infinity' FROM asked a WHERE d.subscription_id = a.id`

// CreateSubscription stores a subscription, and makes its queue if that is missing. A zero ID is set to a new one.
//
// A socket's subscription counts for as long as this gateway is alive, at most. A durable one gets every message
// that is committed after CreateSubscription returns; with confirm, its subscriber is to be asked for confirmation.
//
// ErrSubscriptionExists: the subscriber has one to that queue, with its own TTL and options, which stay; sub's ID and
// Confirmed are then that one's. With confirm, its subscriber is asked again unless it has confirmed, or was asked within
// the configured pause. ErrTooManyConfirmations: it cannot be asked, and nothing was made; see admitConfirmation.
func (s *Store) CreateSubscription(ctx context.Context, sub *protocol.Subscription, confirm bool) error {
	if sub.ID == uuid.Nil {
		sub.ID = uuid.New()
	}
	if sub.Options == nil {
		sub.Options = []byte("{}")
	}
	// Between one statement and the next others may end the subscription that is in the way, or the queue; they would
	// have to do so again and again.
	for range 5 {
		made, err := s.makeSubscription(ctx, sub, confirm)
		if made && !sub.Socket {
			s.subscriptionsChanged(sub.Queue)
		}
		if errors.Is(err, errQueueGone) {
			continue
		}
		if made || err != nil {
			return wrapCreate(err)
		}
		err = s.existingSubscription(ctx, sub, confirm)
		if !errors.Is(err, protocol.ErrNoSubscription) {
			return wrapCreate(err)
		}
	}
	return wrapCreate(fmt.Errorf("%w: queue or subscription comes and goes", protocol.ErrUnavailable))
}

func wrapCreate(err error) error {
	if err != nil {
		return fmt.Errorf("create subscription: %w", err)
	}
	return nil
}

// errQueueGone says that a queue was deleted since it was looked up.
var errQueueGone = errors.New("queue is gone")

// makeSubscription inserts a subscription; made is false if another is in the way. It returns errQueueGone.
func (s *Store) makeSubscription(ctx context.Context, sub *protocol.Subscription, confirm bool) (made bool, err error) {
	info, err := s.resolve(ctx, sub.Queue, true)
	if err != nil {
		return false, err
	}
	if sub.Socket {
		var id uuid.UUID
		err = s.pool.QueryRow(ctx, socketCreateSQL, sub.ID, sub.Queue.Project, sub.Queue.Name, sub.Subscriber, sub.TTL,
			sub.Options, s.id, sub.Confirmed).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return err == nil, s.classifyWrite(err)
	}
	if confirm {
		if err := s.admitNew(ctx, sub); err != nil {
			return false, err
		}
	}
	var there bool
	err = s.pool.QueryRow(ctx, durableCreateSQL, sub.ID, sub.Queue.Project, sub.Queue.Name, sub.Subscriber, sub.TTL,
		sub.Options, info.id, newSecret(), confirm, sub.Confirmed).Scan(&there, &made)
	if err == nil && !there {
		s.forgetQueue(sub.Queue, info.id)
		return false, errQueueGone
	}
	return made, s.classifyWrite(err)
}

// newSecret returns a secret that signs a webhook's requests.
func newSecret() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// existingSubscription returns ErrSubscriptionExists with the ID and Confirmed of the subscription that is in sub's
// way, or ErrNoSubscription if there is none any more. With confirm its subscriber is asked again when it is time.
func (s *Store) existingSubscription(ctx context.Context, sub *protocol.Subscription, confirm bool) error {
	due, err := s.subscriptionOf(ctx, sub)
	if err != nil {
		return err
	}
	if confirm && !sub.Confirmed && due {
		if err := s.admitConfirmation(ctx, sub); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, confirmAgainSQL, sub.ID, s.cfg.Deliveries.ConfirmationPause.Milliseconds()); err != nil {
			return s.classifyWrite(err)
		}
		s.subscriptionsChanged(sub.Queue)
	}
	return protocol.ErrSubscriptionExists
}

// subscriptionOf sets sub's ID and Confirmed to those of the subscription that its subscriber has. due says whether
// the subscriber may be asked for confirmation again. It returns ErrNoSubscription.
func (s *Store) subscriptionOf(ctx context.Context, sub *protocol.Subscription) (due bool, err error) {
	var id uuid.UUID
	var confirmed bool
	row := s.pool.QueryRow(ctx, subscriptionOfSQL, sub.Queue.Project, sub.Queue.Name, sub.Subscriber,
		s.cfg.Deliveries.ConfirmationPause.Milliseconds())
	switch err := row.Scan(&id, &confirmed, &due); {
	case errors.Is(err, pgx.ErrNoRows):
		return false, protocol.ErrNoSubscription
	case err != nil:
		return false, s.classify(err)
	}
	sub.ID, sub.Confirmed = id, confirmed
	return due, nil
}
