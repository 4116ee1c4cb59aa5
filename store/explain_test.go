package store

import (
	"strings"
	"testing"
)

// corePlans are the statements of posting, promoting, sweeping and counting that run often or on large tables, and
// what their plans must contain.
var corePlans = []struct {
	name, sql string
	want      []string
}{
	{"post to one queue", sqlPostOne, []string{"Index Scan using queue_seq_pkey"}},
	{"delay in one queue", sqlDelayOne, []string{"Index Scan using queue_seq_pkey"}},
	{"lock counters", sqlLockMany, []string{"Index Scan using queue_seq_pkey"}},
	{"post to many queues", sqlPostMany, []string{"Index Scan using queue_seq_pkey"}},
	{"delay in many queues", sqlDelayMany, []string{"queue_seq_pkey"}},
	{"probe counter", sqlProbeCounter, []string{"Index Scan using queue_seq_pkey"}},
	{"due", sqlDue, []string{"Index Scan using inbox_due"}},
	{"promote", sqlPromote, []string{"inbox_pkey", "Index Scan using queue_seq_pkey", "queue_pkey"}},
	{"queue by name", sqlQueueByName, []string{"queue_project_name_key", "queue_seq_pkey"}},
	{"list queues", sqlQueues, []string{"Index Scan using queue_project_name_key"}},
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
	{"sweep promoted", sqlSweepPromoted, []string{"promoted_expiry", "Tid Scan on promoted", "message_pkey"}},
}

// The plans are looked at with the settings of every connection: on empty tables without statistics, which is how a
// gateway starts and what its generic plans are made from, and with the statistics of full ones.
func TestCorePlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	explain := func(t *testing.T) {
		for _, plan := range corePlans {
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
	t.Run("empty", explain)
	w.exec(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body)
		SELECT i % 3, i, now(), now() + interval '1 h', 3600, '1' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO queue_seq (id) SELECT generate_series(1, 1000)`)
	w.exec(`INSERT INTO queue (project, name) SELECT i % 5, i FROM generate_series(1, 1000) i`)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot) SELECT i, 0, i FROM generate_series(1, 1000) i`)
	w.exec(`INSERT INTO inbox (queue_id, due_at, ttl, body) SELECT i % 3, now() + i * interval '1 s', 60, '1' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO promoted (queue_id, inbox_id, seq, expires_at) SELECT i % 3, i, i, now() + i * interval '1 s' FROM generate_series(1, 30000) i`)
	w.exec(`ANALYZE`)
	t.Run("full", explain)
}
