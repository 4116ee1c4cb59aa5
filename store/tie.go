package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// A queue and its dead-letter queue are in one pool. Who makes one of them, or ties them, looks where the other is and
// then writes: under these locks on their names, one at a time does both.
const sqlTieLock = `SELECT pg_advisory_xact_lock(hashtextextended(n, 0)) FROM unnest($1::text[]) AS n`

// fits says whether a queue may be in a pool as far as dead letters go, and makes sure that this stays so until the
// transaction ends.
func fits(ctx context.Context, tx pgx.Tx, info *queueInfo, pool int64) (bool, error) {
	names := []string{tieName(info.key.Project, info.key.Name)}
	if info.deadLetterQueue != "" {
		names = append(names, tieName(info.key.Project, info.deadLetterQueue))
	}
	slices.Sort(names)
	if _, err := tx.Exec(ctx, sqlTieLock, slices.Compact(names)); err != nil {
		return false, fmt.Errorf("lock ties of queue: %w", err)
	}
	// A statement of its own, which sees what those before it under the locks have committed.
	bonds, err := readBonds(ctx, tx, info)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(bonds.DeadLetters, func(at int64) bool { return at != pool }), nil
}

// tieName is what is locked of a queue. The database's other advisory locks have other names, or are numbers.
func tieName(project, name string) string { return "nusku tie " + project + "/" + name }

// mayTie is fits for a queue that is there and gets other metadata: protocol.ErrDeadLetterPool if it does not.
func mayTie(ctx context.Context, tx pgx.Tx, info *queueInfo, pool int64) error {
	if info.deadLetterQueue == "" {
		return nil
	}
	fit, err := fits(ctx, tx, info, pool)
	if err == nil && !fit {
		err = protocol.ErrDeadLetterPool
	}
	return err
}
