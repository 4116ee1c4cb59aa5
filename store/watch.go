package store

import (
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// A queue is observed as long as its durable subscriptions live: each extends the queue's observation to its own end
// when it is made. So nobody has to renew it, and it ends by itself with the subscription that lives longest; only what
// ends one before its time has to take it back.

// watchSQL ends a statement that extends observations: it keeps the later end.
const watchSQL = `
	ON CONFLICT (queue_id) DO UPDATE SET observed_until = EXCLUDED.observed_until
		WHERE w.observed_until < EXCLUDED.observed_until`

// Taking an observation back needs two statements. The first waits for whoever is about to extend it, for which they
// have this row; the second one's snapshot then has their subscription.
//
// What is left is $3 ms: a socket's subscriber may have found the observation to be long enough and renewed nothing, but
// it looks again in less than that.
const (
	unwatchLockSQL = `
SELECT w.queue_id FROM queue q JOIN queue_watch w ON w.queue_id = q.id
WHERE q.project = $1 AND q.name = $2 AND w.observed_until > now() + $3::bigint * interval '1 ms' FOR NO KEY UPDATE OF w`
	unwatchSQL = `
UPDATE queue_watch w SET observed_until = GREATEST(now() + $3::bigint * interval '1 ms', (
    SELECT max(s.expires_at) FROM subscription s
    WHERE s.project = $1 AND s.queue_name = $2 AND s.gateway_id IS NULL))
FROM queue q WHERE q.project = $1 AND q.name = $2 AND w.queue_id = q.id
    AND w.observed_until > now() + $3::bigint * interval '1 ms'`
)

// queueUnwatch adds statements that end the observation of a queue with its last durable subscription, for a
// transaction that has ended or shortened some.
func (s *Store) queueUnwatch(batch *pgx.Batch, key protocol.QueueKey) {
	for _, sql := range []string{unwatchLockSQL, unwatchSQL} {
		batch.Queue(sql, key.Project, key.Name, s.cfg.ObserveFor.Milliseconds())
	}
}
