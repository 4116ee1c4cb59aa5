package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// progressSetSQL is the progress that a statement stores: queue $4, cursor $5, attempts $6, next attempt in $7 us.
const progressSetSQL = `queue_id = $4, cursor = $5, attempts = $6::int,
	next_attempt = CASE WHEN $7::bigint > 0 THEN now() + $7::bigint * interval '1 us' ELSE '-infinity' END`

// progressSQL stores progress in the same queue as before.
const progressSQL = `UPDATE delivery d SET ` + progressSetSQL + ` WHERE ` + heldSQL + ` AND d.queue_id = $4`

// movedSQL locks the row and, when the deliverer has gone on to another queue of that name, sees to it that this one is
// observed. A queue that is made is observed from the start if it has subscriptions; but who made it may not
// have seen one that was made just before.
const movedSQL = `
WITH mine AS MATERIALIZED (
	SELECT d.subscription_id AS id, d.queue_id FROM delivery d WHERE ` + heldSQL + ` FOR NO KEY UPDATE
), watched AS (
	INSERT INTO queue_watch AS w (queue_id, observed_until)
	SELECT c.id, s.expires_at FROM mine m JOIN subscription s ON s.id = m.id JOIN queue_seq c ON c.id = $4
	WHERE m.queue_id <> $4` + watchSQL + `
)`

// progressMovedSQL stores progress in any queue.
const progressMovedSQL = movedSQL + `
UPDATE delivery d SET ` + progressSetSQL + ` FROM mine m WHERE d.subscription_id = m.id`

// progressArgs are $1 to $7 of the statements above.
func (s *Store) progressArgs(l protocol.Lease, p protocol.Progress) []any {
	return []any{l.ID, s.id, l.Token, p.QueueID, p.Cursor, p.Attempts, p.Wait.Microseconds()}
}

// SaveProgress stores how far the deliveries of a leased subscription have come. ErrLeaseLost: nothing was stored.
func (s *Store) SaveProgress(ctx context.Context, l protocol.Lease, p protocol.Progress) error {
	for _, sql := range []string{progressSQL, progressMovedSQL} {
		tag, err := s.pool.Exec(ctx, sql, s.progressArgs(l, p)...)
		if err != nil {
			return fmt.Errorf("save progress: %w", s.classifyWrite(err))
		}
		if tag.RowsAffected() > 0 {
			return nil
		}
	}
	return fmt.Errorf("save progress: %w", protocol.ErrLeaseLost)
}

// buryDeliverySQL stores progress and a dead delivery: message (queue $8, number $9, inbox $10), body $11, codec $12, TTL
// $13, attempts $14, reason $15. It is kept for $16 ms, and the oldest ones go, so that there are $17 at most. It
// returns how many went.
const buryDeliverySQL = movedSQL + `, last AS (
	SELECT x.id FROM dead_delivery x WHERE x.subscription_id = $1 ORDER BY x.id DESC OFFSET $17::int - 1 LIMIT 1
), dropped AS (
	DELETE FROM dead_delivery x USING mine m, last WHERE x.subscription_id = m.id AND x.id <= last.id RETURNING 1
), buried AS (
	INSERT INTO dead_delivery (subscription_id, queue_id, n, inbox, body, codec, ttl, attempts, reason, expires_at)
	SELECT m.id, $8, $9, $10::boolean, $11, $12, $13, $14, $15, now() + $16::bigint * interval '1 ms' FROM mine m
)
UPDATE delivery d SET ` + progressSetSQL + `, dropped = d.dropped + (SELECT count(*) FROM dropped)
FROM mine m WHERE d.subscription_id = m.id
RETURNING (SELECT count(*) FROM dropped), d.dropped`

// BuryDelivery stores a message that could not be delivered, and progress past it, both or neither. There are a bounded
// number of dead deliveries of a subscription (DeliveryConfig.DeadDeliveries): the oldest goes for the new one, which is
// logged and counted. ErrLeaseLost: nothing was stored.
func (s *Store) BuryDelivery(ctx context.Context, l protocol.Lease, p protocol.Progress, dead protocol.DeadDelivery) error {
	cfg := &s.cfg.Deliveries
	body := dead.Body
	if body == nil {
		body = []byte{} // not null
	}
	args := append(s.progressArgs(l, p), dead.MessageID.Queue, dead.MessageID.N, dead.MessageID.Inbox, body,
		int16(dead.Codec), dead.TTL, int32(dead.Attempts), storable(dead.Reason), cfg.DeadDeliveryTTL.Milliseconds(), cfg.DeadDeliveries)
	var dropped, total int64
	err := s.pool.QueryRow(ctx, buryDeliverySQL, args...).Scan(&dropped, &total)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("bury delivery: %w", protocol.ErrLeaseLost)
	case err != nil:
		return fmt.Errorf("bury delivery: %w", s.classifyWrite(err))
	case dropped > 0:
		s.log.Warn().Stringer("subscription", l.ID).Int64("dropped", dropped).Int64("dropped_ever", total).
			Msg("a subscription has as many dead deliveries as it may have: the oldest were dropped")
	}
	return nil
}

const confirmationSentSQL = `UPDATE delivery d SET confirm = false WHERE ` + heldSQL

// ConfirmationSent notes that the subscriber was asked for confirmation. ErrLeaseLost: it was not noted.
func (s *Store) ConfirmationSent(ctx context.Context, l protocol.Lease) error {
	return s.underLease(ctx, "note confirmation", confirmationSentSQL, l.ID, s.id, l.Token)
}

// underLease runs a statement that changes nothing unless the lease is held.
func (s *Store) underLease(ctx context.Context, what, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, s.classifyWrite(err))
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s: %w", what, protocol.ErrLeaseLost)
	}
	return nil
}
