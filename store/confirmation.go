package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Requests for confirmation go to people who have asked for nothing, at the wish of whoever names their address. So they
// are counted, by the hour: those to an address, over all queues and projects, and those that a project has sent.

// confirmationsSQL counts one request for each of the keys $1, of which $2 are allowed in an hour, and returns those for
// which there was one left.
const confirmationsSQL = `
INSERT INTO confirmation_quota AS c (key, remaining, until)
SELECT x.key, x.most - 1, now() + interval '1 hour' FROM unnest($1::bytea[], $2::int[]) AS x(key, most)
ON CONFLICT (key) DO UPDATE SET
	remaining = CASE WHEN c.until <= now() THEN EXCLUDED.remaining ELSE c.remaining - 1 END,
	until = CASE WHEN c.until <= now() THEN EXCLUDED.until ELSE c.until END
WHERE c.until <= now() OR c.remaining > 0
RETURNING c.key`

// admitNew is admitConfirmation for a subscription that is to be made, unless there is one already.
func (s *Store) admitNew(ctx context.Context, sub *protocol.Subscription) error {
	there := *sub
	if _, err := s.subscriptionOf(ctx, &there); !errors.Is(err, protocol.ErrNoSubscription) {
		return err
	}
	return s.admitConfirmation(ctx, sub)
}

// admitConfirmation counts a request for confirmation of sub. When its project, or one of its subscriber's addresses, has
// had as many as it may have in an hour, nothing is counted, and it returns ErrTooManyConfirmations, whose detail says
// which.
func (s *Store) admitConfirmation(ctx context.Context, sub *protocol.Subscription) error {
	cfg := &s.cfg.Deliveries
	project := quotaKey("project", sub.Queue.Project)
	keys := [][]byte{project}
	for _, address := range protocol.SubscriberAddresses(sub.Subscriber) {
		keys = append(keys, quotaKey("address", address))
	}
	slices.SortFunc(keys, bytes.Compare) // the order of locks
	most := make([]int32, len(keys))
	for i, key := range keys {
		most[i] = int32(cfg.ConfirmationsPerAddress) //nolint:gosec // in the range of the setting
		if bytes.Equal(key, project) {
			most[i] = int32(cfg.ConfirmationsPerProject) //nolint:gosec // as above
		}
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, confirmationsSQL, keys, most)
		if err != nil {
			return err
		}
		counted, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil || len(counted) == len(keys) {
			return err
		}
		detail := "to this subscriber"
		if !slices.ContainsFunc(counted, func(key []byte) bool { return bytes.Equal(key, project) }) {
			detail = "by this project"
		}
		return &protocol.FaultDetail{Fault: protocol.ErrTooManyConfirmations, Detail: detail}
	})
	if errors.Is(err, protocol.ErrTooManyConfirmations) {
		return err
	}
	if err != nil {
		return fmt.Errorf("count a request for confirmation: %w", s.classifyWrite(err))
	}
	return nil
}

// quotaKey is a short key that shows nobody's address.
func quotaKey(of, name string) []byte {
	sum := sha256.Sum256([]byte(of + " " + name))
	return sum[:]
}
