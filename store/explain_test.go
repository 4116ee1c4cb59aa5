package store

import (
	"strings"
	"testing"
)

// corePlans are the statements of posting, promoting, sweeping and counting that run often or on large tables, and
// what their plans must contain.
var corePlans = []pinnedPlan{
	{"post to one queue", sqlPostOne, []string{"Index Scan using queue_seq_pkey"}},
	{"delay in one queue", sqlDelayOne, []string{"Index Scan using queue_seq_pkey"}},
	{"lock counters", sqlLockMany, []string{"Index Scan using queue_seq_pkey"}},
	{"post to many queues", sqlPostMany, []string{"Index Scan using queue_seq_pkey"}},
	{"delay in many queues", sqlDelayMany, []string{"queue_seq_pkey"}},
	{"probe counter", sqlProbeCounter, []string{"Index Scan using queue_seq_pkey"}},
	{"due", sqlDue, []string{"Index Scan using inbox_due"}},
	{"promote", sqlPromote, []string{"inbox_pkey", "Index Scan using queue_seq_pkey", "queue_pkey"}},
	{"queue by name", sqlQueueByName, []string{"queue_project_name_key", "queue_seq_pkey"}},
	{"drop name", sqlDropName, []string{"queue_project_name_key"}},
	{"drop counter", sqlDropCounter, []string{"queue_seq_pkey"}},
	{"purge lock", sqlPurgeLock, []string{"queue_project_name_key", "Index Scan using queue_seq_pkey"}},
	{"purge", sqlPurge, []string{"Index Scan using queue_seq_pkey"}},
	{"stats", sqlStats, []string{"Index Scan using message_pkey", "Index Scan Backward using message_pkey", "queue_count_pkey"}},
	{"claimed", sqlClaimed, []string{"Index Scan using message_pkey", "queue_count_pkey"}},
	{"sweep page", sqlSweepPage, []string{"queue_seq_pkey"}},
	{"sweep look", sqlSweepLook, []string{"Index Scan using message_pkey", "Index Scan using queue_seq_pkey"}},
	{"sweep", sqlSweep, []string{"Index Scan using message_pkey", "Tid Scan on message", "queue_seq_pkey"}},
	{"fold counts", sqlFoldCounts, []string{"queue_count_pkey", "Tid Scan on queue_count", "gateway_slot_key"}},
	{"reap messages", sqlReapMessages, []string{"Index Scan using message_pkey", "Tid Scan on message"}},
	{"reap inbox", sqlReapInbox, []string{"inbox_pkey", "Tid Scan on inbox"}},
	{"reap mark", sqlReapMark, []string{"dropped_queue_pkey", "message_pkey", "Index Only Scan using inbox_"}},
	{"reap counts", sqlReapCounts, []string{"queue_count_pkey"}},
	{"reap watch", sqlReapWatch, []string{"queue_watch_pkey"}},
	{"dropped queues", sqlDropped, []string{"dropped_queue_pkey"}},
	{"purged inboxes", sqlPurgedInboxes, []string{"queue_seq_pkey", "inbox_pkey"}},
	{"reap purged inbox", sqlReapPurgedInbox, []string{"inbox_pkey", "Tid Scan on inbox", "queue_seq_pkey"}},
	{"dead letter queues", sqlDeadLetterPage, []string{"queue_dead_letter"}},
	{"claimed ranges", sqlClaimedRanges, []string{"queue_pkey", "queue_seq_pkey", "queue_count_pkey", "message_pkey"}},
	{"orphans", sqlOrphans, []string{"subscription_gateway", "gateway_pkey"}},
	{"expired subscriptions", sqlExpiredSubscriptions, []string{"subscription_expiry", "subscription_pkey"}},
	{"purge subscriptions", sqlPurgeSubscriptions, []string{"subscription_"}},
	{"create queue", sqlQueueCreate, []string{"subscription_", "gateway_pkey"}},
	{"renew gateway", sqlRenew, []string{"gateway_pkey"}},
	{"leave", sqlLeave, []string{"gateway_pkey"}},
	{"sweep promoted", sqlSweepPromoted, []string{"promoted_expiry", "Tid Scan on promoted", "message_pkey"}},
}

// grownPlans are statements that have the choice of two indexes, of which the wrong one costs nothing while the tables are
// small: they are looked at with the statistics of large ones alone.
var grownPlans = []pinnedPlan{
	{"subscription", subscriptionSQL, []string{"subscription_pkey"}},
	{"subscription's place", subscriptionPlaceSQL, []string{"subscription_pkey"}},
	{"delete subscription", subscriptionDeleteSQL, []string{"subscription_pkey"}},
	{"end subscriptions", subscriptionsEndSQL, []string{"subscription_pkey"}},
	{"dead gateways", sqlDeadGateways, []string{"gateway_pkey", "subscription_gateway"}},
}

// pinnedPlan is a statement and what its plan must contain.
type pinnedPlan struct {
	name, sql string
	want      []string
}

// The plans are looked at with the settings of every connection: on empty tables without statistics, which is how a
// gateway starts and what its generic plans are made from, and with the statistics of full ones.
func TestCorePlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	explain := func(t *testing.T, plans []pinnedPlan) {
		for _, plan := range plans {
			text := w.plan(s, plan.sql)
			for _, want := range plan.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in the plan\n%s", plan.name, want, text)
				}
			}
			for _, bad := range []string{"Seq Scan", "Bitmap", "Hash Join", "Merge Join", "Hash Anti", "Hash Semi"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s: %s in the plan\n%s", plan.name, bad, text)
				}
			}
		}
	}
	t.Run("empty", func(t *testing.T) { explain(t, corePlans) })
	w.exec(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body)
		SELECT i % 3, i, now(), now() + interval '1 h', 3600, '1' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO queue_seq (id) SELECT generate_series(1, 1000)`)
	w.exec(`INSERT INTO queue (project, name) SELECT i % 5, i FROM generate_series(1, 1000) i`)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot) SELECT i, 0, i FROM generate_series(1, 1000) i`)
	w.exec(`INSERT INTO inbox (queue_id, due_at, ttl, body) SELECT i % 3, now() + i * interval '1 s', 60, '1' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO promoted (queue_id, inbox_id, seq, expires_at) SELECT i % 3, i, i, now() + i * interval '1 s' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO gateway (id, lease_until) SELECT gen_random_uuid(), now() + i * interval '1 s' FROM generate_series(1, 500) i`)
	w.exec(`INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, gateway_id)
		SELECT gen_random_uuid(), 'p', i % 5, i, 60, now() + i * interval '1 s', (SELECT id FROM gateway WHERE slot % 10 = i % 10 LIMIT 1)
		FROM generate_series(1, 20000) i`)
	w.exec(`ANALYZE`)
	t.Run("full", func(t *testing.T) { explain(t, append(corePlans, grownPlans...)) })
}
