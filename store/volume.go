package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Both look at every queue. They run only when somebody asks for the health of the pools, within the caller's time.
const (
	sqlVolume = `
SELECT COALESCE(sum(GREATEST(0, c.next_seq - 1 - c.purged_upto - GREATEST(0, c.jumped_upto - GREATEST(c.jumped_from - 1, c.purged_upto))
        - n.removed) + GREATEST(0, n.delayed)), 0)::int8
FROM queue_seq c CROSS JOIN LATERAL (
    SELECT COALESCE(sum(q.removed), 0) AS removed, COALESCE(sum(q.delayed), 0) AS delayed
    FROM queue_count q WHERE q.queue_id = c.id AND q.epoch = c.purge_epoch) n`
	sqlVolumeClaimed = `
SELECT COALESCE(sum(k.n), 0)::int8 FROM queue_seq c CROSS JOIN LATERAL (
    SELECT max(q.claimed_upto) AS upto FROM queue_count q WHERE q.queue_id = c.id AND q.epoch = c.purge_epoch
) u CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM message m
    WHERE m.queue_id = c.id AND m.seq > c.purged_upto AND m.seq <= u.upto AND m.claim_expires_at > now() AND ` + sqlLive + `
) k`
)

// Volume counts the messages of all queues: those that are claimed, and all. Expired ones count until they are swept. It
// looks at every queue, so ctx should bound it.
func (s *Store) Volume(ctx context.Context) (claimed, total int64, err error) {
	b := &pgx.Batch{}
	b.Queue(sqlVolume).QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
	b.Queue(sqlVolumeClaimed).QueryRow(func(row pgx.Row) error { return row.Scan(&claimed) })
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return 0, 0, fmt.Errorf("count messages: %w", s.classify(err))
	}
	return min(claimed, total), total, nil
}

// sqlNamesOf lists queues that are here by the beginning of their names, those made more than $4 seconds ago.
const sqlNamesOf = `
SELECT name, id FROM queue WHERE project = $1 AND name >= $2 AND name < $3 AND pool_id IS NULL
    AND created_at < now() - $4::int * interval '1 s' ORDER BY name LIMIT 100`

// OldQueues returns up to 100 queues of a project that are here, have names that begin with prefix, and were made more
// than age seconds ago.
func (s *Store) OldQueues(ctx context.Context, project, prefix string, age int32) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, sqlNamesOf, project, prefix, prefix+lastName, age)
	if err != nil {
		return nil, fmt.Errorf("list old queues: %w", s.classify(err))
	}
	found := make(map[string]int64)
	var name string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		found[name] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list old queues: %w", s.classify(err))
	}
	return found, nil
}
