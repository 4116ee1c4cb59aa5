package store

import (
	"strings"
	"testing"
)

// hotPlans are the statements of claims, deletes and feeds whose plans must not change with the statistics, and what
// their plans must contain.
var hotPlans = []pinnedPlan{
	{"claim end", claimEndSQL, []string{"queue_seq_pkey"}},
	{"claim", claimSQL, []string{"message_pkey", "Tid Scan on message", "queue_seq_pkey"}},
	{"pop", popSQL, []string{"message_pkey", "Tid Scan on message", "queue_watch_pkey"}},
	{"survey", surveySQL, []string{"message_pkey"}},
	{"give back", giveBackSQL, []string{"message_pkey", "Tid Scan on message"}},
	{"claim by id", claimByIDSQL, []string{"message_pkey"}},
	{"renew", renewClaimSQL, []string{"message_pkey", "Tid Scan on message"}},
	{"release", releaseClaimSQL, []string{"message_pkey", "Tid Scan on message"}},
	{"delete", deleteSQL, []string{"message_pkey", "Tid Scan on message", "queue_seq_pkey", "queue_watch_pkey"}},
	{"diagnose", diagnoseSQL, []string{"message_pkey", "queue_seq_pkey"}},
	{"claim lives", claimLivesSQL, []string{"message_pkey"}},
	{"delete delayed", inboxDeleteSQL, []string{"inbox_pkey", "Tid Scan on inbox"}},
	{"delayed left", inboxLeftSQL, []string{"inbox_pkey"}},
	{"delayed by id", delayedByIDSQL, []string{"inbox_pkey"}},
	{"promoted", promotedSQL, []string{"promoted_pkey"}},
	{"dead", deadSQL, []string{"message_pkey"}},
	{"bury", burySQL, []string{"message_pkey", "Tid Scan on message", "queue_seq_pkey"}},
	{"list", messagesSQL, []string{"message_pkey"}},
	{"by id", messagesByIDSQL, []string{"message_pkey"}},
	{"feed", feedSQL, []string{"message_pkey", "queue_seq_pkey", "queue_count_pkey"}},
	{"observe", observeSQL, []string{"queue_seq_pkey"}},
	{"heads", headsSQL, []string{"queue_seq_pkey"}},
	{"observed head", observedHeadSQL, []string{"queue_seq_pkey", "queue_watch_pkey"}},
	{"lock dead-letter queue", buryLockSQL, []string{"queue_seq_pkey"}},
	{"list delayed", delayedSQL, []string{"Index Scan using inbox_list", "inbox_pkey"}},
	{"list subscriptions", subscriptionsSQL, []string{"subscription_list", "gateway_pkey"}},
	{"create socket's subscription", socketCreateSQL, []string{"gateway_pkey"}},
	{"known subscriptions", subscriptionsKnownSQL, []string{"subscription_pkey"}},
}

// The plans are looked at on a connection of the pool, with its settings: on empty tables, on full ones without
// statistics, and with them.
func TestHotPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", nil)
	explain := func(t *testing.T) {
		for _, plan := range hotPlans {
			text := w.plan(s, plan.sql)
			for _, want := range plan.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in the plan\n%s", plan.name, want, text)
				}
			}
			for _, bad := range []string{"Seq Scan", "Bitmap", "Hash Join", "Merge Join"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s: %s in the plan\n%s", plan.name, bad, text)
				}
			}
		}
	}
	t.Run("empty", explain)
	w.exec(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, body)
		SELECT i % 3, i, now(), now() + interval '1 h', 3600, '1' FROM generate_series(1, 30000) i`)
	w.exec(`INSERT INTO inbox (queue_id, due_at, ttl, body) SELECT i % 20, now() + i * interval '1 s', 60, '1' FROM generate_series(1, 5000) i`)
	w.exec(`INSERT INTO promoted (queue_id, inbox_id, seq, expires_at) SELECT 1, i, i, now() FROM generate_series(1, 1000) i`)
	w.exec(`INSERT INTO queue_seq (id) SELECT generate_series(1, 1000)`)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot) SELECT i, 0, i FROM generate_series(1, 1000) i`)
	t.Run("full, without statistics", explain)
	w.exec(`ANALYZE`)
	t.Run("full, with statistics", explain)
}

// plan returns the generic plan of a statement.
func (w *world) plan(s *Store, sql string) string {
	w.t.Helper()
	ctx := w.t.Context()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "PREPARE explained AS "+sql); err != nil {
		w.t.Fatal(err)
	}
	var parameters int
	err = conn.QueryRow(ctx, `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'explained'`).Scan(&parameters)
	if err != nil {
		w.t.Fatal(err)
	}
	nulls := ""
	if parameters > 0 {
		nulls = "(NULL" + strings.Repeat(",NULL", parameters-1) + ")"
	}
	rows, err := conn.Query(ctx, "EXPLAIN EXECUTE explained"+nulls)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			w.t.Fatal(err)
		}
		text.WriteString(line + "\n")
	}
	rows.Close()
	if _, err := conn.Exec(ctx, "DEALLOCATE explained"); err != nil {
		w.t.Fatal(err)
	}
	return text.String()
}
