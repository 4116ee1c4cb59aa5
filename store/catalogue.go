package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Catalogue is the part of the default pool's database that knows all pools, flavors, and where each queue is. Its
// methods may be called concurrently.
type Catalogue struct{ s *Store }

// Catalogue returns the catalogue of the default pool.
func (s *Store) Catalogue() *Catalogue { return &Catalogue{s} }

const (
	sqlInstallationMake = `
INSERT INTO installation (catalogue, pool_id) VALUES (gen_random_uuid(), 0) ON CONFLICT DO NOTHING`
	sqlInstallation = `SELECT catalogue, pool_id FROM installation`
)

// Identify returns the id of the catalogue, which is made at first use. It fails when the database is a pool of another
// installation.
func (c *Catalogue) Identify(ctx context.Context) (id uuid.UUID, err error) {
	if _, err := c.s.pool.Exec(ctx, sqlInstallationMake); err != nil {
		return id, fmt.Errorf("identify the catalogue: %w", c.s.classifyWrite(err))
	}
	var pool int64
	if err := c.s.pool.QueryRow(ctx, sqlInstallation).Scan(&id, &pool); err != nil {
		return id, fmt.Errorf("identify the catalogue: %w", c.s.classify(err))
	}
	if pool != 0 {
		return id, fmt.Errorf("this database is pool %d of another installation and cannot be the default pool", pool)
	}
	return id, nil
}

const sqlPlaceOf = `
SELECT id, pool_id, metadata, removed_at IS NOT NULL, tentative FROM queue WHERE project = $1 AND name = $2`

// PlaceOf returns where a queue is, and whether it is to be removed there. It returns protocol.ErrNoQueue.
func (c *Catalogue) PlaceOf(ctx context.Context, key protocol.QueueKey) (placed Placed, removed bool, err error) {
	var pool *int64
	err = c.s.pool.QueryRow(ctx, sqlPlaceOf, key.Project, key.Name).Scan(&placed.ID, &pool, &placed.Metadata, &removed,
		&placed.Tentative)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return placed, false, protocol.ErrNoQueue
	case err != nil:
		return placed, false, fmt.Errorf("look up queue: %w", c.s.classify(err))
	case pool != nil:
		placed.Pool = *pool
	}
	return placed, removed, nil
}

// sqlBonds finds out where queue $2 of project $1 has to be, if that is not free: 1, where its dead-letter queue $3 is; 2,
// where a queue is whose dead-letter queue it is; 3, where subscriptions to it are.
const sqlBonds = `
(SELECT 1, COALESCE(pool_id, 0) FROM queue WHERE project = $1 AND name = $3)
UNION ALL
(SELECT 1, COALESCE(pool_id, 0) FROM queue WHERE project = $1 AND dead_letter_queue = $3 AND name <> $2 LIMIT 1)
UNION ALL
(SELECT 2, COALESCE(pool_id, 0) FROM queue WHERE project = $1 AND dead_letter_queue = $2 AND name <> $2 LIMIT 1)
UNION ALL
(SELECT 3, COALESCE(pool_id, 0) FROM queue_home WHERE project = $1 AND name = $2 AND expires_at > now())`

// Bonds say where a queue has to be, if anything says so.
type Bonds struct {
	// DeadLetters are the pools where the queue's dead letters go or come from: a dead-letter queue is in its queue's
	// pool. More than one cannot be satisfied.
	DeadLetters []int64
	// Home is where subscriptions to the queue's name are, nil if there are none.
	Home *int64
	// Flavor is the flavor that the queue asks for, "" if it asks for none.
	Flavor string
}

// Bonds returns what ties a queue with these metadata to a pool.
func (c *Catalogue) Bonds(ctx context.Context, key protocol.QueueKey, metadata []byte) (bonds Bonds, err error) {
	bonds, err = readBonds(ctx, c.s.pool, newQueueInfo(0, key, metadata, 0))
	return bonds, c.s.classify(err)
}

// querier is a pool of connections or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readBonds(ctx context.Context, from querier, info *queueInfo) (bonds Bonds, err error) {
	bonds.Flavor = info.flavor
	rows, err := from.Query(ctx, sqlBonds, info.key.Project, info.key.Name, notEmpty(info.deadLetterQueue))
	if err != nil {
		return bonds, fmt.Errorf("look up ties of queue: %w", err)
	}
	var kind int
	var pool int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &pool}, func() error {
		at := pool
		if kind == 3 {
			bonds.Home = &at
		} else if !slices.Contains(bonds.DeadLetters, at) {
			bonds.DeadLetters = append(bonds.DeadLetters, at)
		}
		return nil
	})
	if err != nil {
		return bonds, fmt.Errorf("look up ties of queue: %w", err)
	}
	return bonds, nil
}

const sqlPlace = `
INSERT INTO queue (project, name, metadata, dead_letter, flavor, dead_letter_queue, pool_id, tentative)
VALUES ($1, $2, $3, $4, $5, $6, $7, true) ON CONFLICT (project, name) DO NOTHING RETURNING id`

// Place notes that a queue is in a pool, not the default one, where the caller is to make it next: see TakeBack. It returns
// id 0 if there is a queue of that name already, or if meanwhile something ties the queue to another pool. Errors:
// protocol.ErrNoFlavor, ErrNoPool.
func (c *Catalogue) Place(ctx context.Context, key protocol.QueueKey, metadata []byte, pool int64) (id int64, err error) {
	info := newQueueInfo(0, key, metadata, 0)
	err = c.s.inTx(ctx, func(tx pgx.Tx) error {
		if fit, err := fits(ctx, tx, info, pool); err != nil || !fit {
			return err
		}
		err := tx.QueryRow(ctx, sqlPlace, key.Project, key.Name, metadata, info.deadLetters(), notEmpty(info.flavor),
			notEmpty(info.deadLetterQueue), pool).Scan(&id)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case violates(err, "queue_pool_id_fkey"):
			return protocol.ErrNoPool
		}
		return unknownFlavor(err, info)
	})
	if err != nil {
		return 0, fmt.Errorf("place queue: %w", err)
	}
	return id, nil
}

const (
	sqlKeep     = `UPDATE queue SET tentative = false WHERE id = $1 AND removed_at IS NULL`
	sqlTakeBack = `DELETE FROM queue WHERE id = $1 AND tentative AND removed_at IS NULL`
)

// Keep says that another than who placed a queue is about to make it where it was placed: its place is not taken back any
// more. It returns protocol.ErrNoQueue if that has happened already.
func (c *Catalogue) Keep(ctx context.Context, id int64) error {
	tag, err := c.s.pool.Exec(ctx, sqlKeep, id)
	switch {
	case err != nil:
		return fmt.Errorf("keep place: %w", c.s.classifyWrite(err))
	case tag.RowsAffected() == 0:
		return protocol.ErrNoQueue
	}
	return nil
}

// TakeBack undoes Place. It is for its caller alone, whose only attempt to make the queue has failed for certain; it does
// nothing when somebody else has begun to make it. Nothing of the queue is in the pool then, nor will it ever be: who makes
// a queue calls Keep first.
func (c *Catalogue) TakeBack(ctx context.Context, id int64) error {
	if _, err := c.s.pool.Exec(ctx, sqlTakeBack, id); err != nil {
		return fmt.Errorf("take place back: %w", c.s.classifyWrite(err))
	}
	return nil
}

const sqlCopyMetadata = `
UPDATE queue SET metadata = $3, dead_letter = $4, flavor = $5, dead_letter_queue = $6, updated_at = now()
WHERE project = $1 AND name = $2 AND pool_id = $7`

// CopyMetadata notes the metadata that a queue in a pool, not the default one, is about to get. It returns
// protocol.ErrNoFlavor when they name a flavor that does not exist, and ErrDeadLetterPool when they name a dead-letter queue
// elsewhere.
func (c *Catalogue) CopyMetadata(ctx context.Context, key protocol.QueueKey, pool int64, metadata []byte) error {
	info := newQueueInfo(0, key, metadata, 0)
	err := c.s.inTx(ctx, func(tx pgx.Tx) error {
		if err := mayTie(ctx, tx, info, pool); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlCopyMetadata, key.Project, key.Name, metadata, info.deadLetters(), notEmpty(info.flavor),
			notEmpty(info.deadLetterQueue), pool)
		return unknownFlavor(err, info)
	})
	if err != nil {
		return fmt.Errorf("note metadata: %w", err)
	}
	return nil
}

// Tied says whether metadata may tie a queue to a pool: by a flavor or a dead-letter queue.
func Tied(metadata []byte) bool {
	info := newQueueInfo(0, protocol.QueueKey{}, metadata, 0)
	return info.flavor != "" || info.deadLetterQueue != ""
}

// FlavorOf returns the flavor that metadata ask for, "" if they ask for none.
func FlavorOf(metadata []byte) string {
	return newQueueInfo(0, protocol.QueueKey{}, metadata, 0).flavor
}

const sqlPoolsOf = `SELECT id, COALESCE(pool_id, 0) FROM queue WHERE id = ANY ($1::int8[])`

// PoolsOf returns the pools of queues by their ids; those that are gone are left out.
func (c *Catalogue) PoolsOf(ctx context.Context, ids []int64) (map[int64]int64, error) {
	rows, err := c.s.pool.Query(ctx, sqlPoolsOf, ids)
	if err != nil {
		return nil, fmt.Errorf("look up queues: %w", c.s.classify(err))
	}
	pools := make(map[int64]int64, len(ids))
	var id, pool int64
	_, err = pgx.ForEachRow(rows, []any{&id, &pool}, func() error {
		pools[id] = pool
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up queues: %w", c.s.classify(err))
	}
	return pools, nil
}

// sqlSubscriptionsOf prefers the queue to what it left.
const sqlSubscriptionsOf = `
(SELECT COALESCE(pool_id, 0) FROM queue WHERE project = $1 AND name = $2)
UNION ALL
(SELECT COALESCE(pool_id, 0) FROM queue_home WHERE project = $1 AND name = $2 AND expires_at > now())
LIMIT 1`

// SubscriptionsOf returns the pool where the subscriptions to a queue's name are, also after the queue was deleted.
func (c *Catalogue) SubscriptionsOf(ctx context.Context, key protocol.QueueKey) (pool int64, err error) {
	err = c.s.pool.QueryRow(ctx, sqlSubscriptionsOf, key.Project, key.Name).Scan(&pool)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("look up subscriptions: %w", c.s.classify(err))
	}
	return pool, nil
}

const (
	sqlExtendHome = `
UPDATE queue_home SET expires_at = GREATEST(expires_at, now() + $3::int * interval '1 s')
WHERE project = $1 AND name = $2 AND expires_at > now()`
	sqlExpiredHomes = `
DELETE FROM queue_home WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM queue_home WHERE expires_at <= now() ORDER BY expires_at LIMIT $1))`
)

// ExtendHome notes that a subscription to a name, whose queue may be deleted, lives for ttl seconds from now.
func (c *Catalogue) ExtendHome(ctx context.Context, key protocol.QueueKey, ttl int32) error {
	if _, err := c.s.pool.Exec(ctx, sqlExtendHome, key.Project, key.Name, ttl); err != nil {
		return fmt.Errorf("extend home: %w", c.s.classifyWrite(err))
	}
	return nil
}

// ForgetHomes removes up to limit notes of where subscriptions were.
func (c *Catalogue) ForgetHomes(ctx context.Context, limit int) error {
	if _, err := c.s.pool.Exec(ctx, sqlExpiredHomes, limit); err != nil {
		return fmt.Errorf("forget homes: %w", c.s.classifyWrite(err))
	}
	return nil
}

// Removal is a queue that is to be removed in its pool.
type Removal struct {
	Key  protocol.QueueKey
	ID   int64
	Pool int64
}

const (
	sqlRemove = `
UPDATE queue SET removed_at = COALESCE(removed_at, now()) WHERE id = $1 AND pool_id IS NOT NULL`
	// sqlRemovals lists those of pools $1 that were left for $2 microseconds.
	sqlRemovals = `
SELECT project, name, id, pool_id FROM queue
WHERE removed_at IS NOT NULL AND pool_id = ANY ($1::int8[]) AND removed_at <= now() - $2::int8 * interval '1 us'
ORDER BY project, name LIMIT $3`
	sqlRemoved = `
WITH gone AS (
    DELETE FROM queue WHERE id = $1 AND removed_at IS NOT NULL RETURNING project, name, pool_id
)
INSERT INTO queue_home (project, name, pool_id, expires_at)
SELECT project, name, pool_id, now() + $2::int8 * interval '1 s' FROM gone WHERE $2::int8 > 0
ON CONFLICT (project, name) DO UPDATE SET pool_id = EXCLUDED.pool_id, expires_at = EXCLUDED.expires_at`
)

// Remove marks a queue that is elsewhere: it will be removed, whatever happens to this gateway.
func (c *Catalogue) Remove(ctx context.Context, id int64) error {
	if _, err := c.s.pool.Exec(ctx, sqlRemove, id); err != nil {
		return fmt.Errorf("mark queue for removal: %w", c.s.classifyWrite(err))
	}
	return nil
}

// Removals returns up to limit queues of these pools that were marked at least age ago and are still there.
func (c *Catalogue) Removals(ctx context.Context, pools []int64, age time.Duration, limit int) ([]Removal, error) {
	rows, err := c.s.pool.Query(ctx, sqlRemovals, pools, age.Microseconds(), limit)
	if err != nil {
		return nil, fmt.Errorf("list removals: %w", c.s.classify(err))
	}
	removals, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Removal, err error) {
		err = row.Scan(&r.Key.Project, &r.Key.Name, &r.ID, &r.Pool)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list removals: %w", c.s.classify(err))
	}
	return removals, nil
}

// Removed takes a queue that was dropped in its pool out of the catalogue. There will be subscriptions to its name for so
// many seconds.
func (c *Catalogue) Removed(ctx context.Context, id, subscribed int64) error {
	if _, err := c.s.pool.Exec(ctx, sqlRemoved, id, subscribed); err != nil {
		return fmt.Errorf("remove queue: %w", c.s.classifyWrite(err))
	}
	return nil
}
