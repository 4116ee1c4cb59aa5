package store

import (
	"strings"
	"testing"
)

// cataloguePlans are the statements of the catalogue and of placed queues, and what their plans must contain when the
// tables are large.
var cataloguePlans = []pinnedPlan{
	{"list queues", sqlQueues, []string{"Index Scan using queue_project_name_key"}},
	{"count queues", sqlCountQueues, []string{"Index Only Scan using queue_project_name_key"}},
	{"count removed queues", sqlCountRemoved, []string{"using queue_removed"}},
	{"lock queue", sqlQueueLock, []string{"queue_project_name_key"}},
	{"update queue", sqlQueueUpdate, []string{"queue_pkey"}},
	{"purge look", sqlPurgeLook, []string{"queue_project_name_key"}},
	{"home here", sqlHomeHere, []string{"subscription_", "gateway_pkey"}},
	{"adopt mark", sqlAdoptMark, []string{"placed_queue_pkey"}},
	{"adopt older", sqlAdoptOlder, []string{"queue_project_name_key"}},
	{"drop mark", sqlDropMark, []string{"placed_queue_pkey"}},
	{"drop id", sqlDropID, []string{"queue_pkey"}},
	{"subscribed for", sqlSubscribedFor, []string{"subscription_", "gateway_pkey"}},
	{"forget dropped", sqlForgetDropped, []string{"placed_queue_dropped", "Tid Scan"}},
	{"metadata", sqlMetadata, []string{"queue_pkey"}},
	{"place of", sqlPlaceOf, []string{"queue_project_name_key"}},
	{"bonds", sqlBonds, []string{"queue_project_name_key", "queue_dead_letter_queue", "queue_home_pkey"}},
	{"copy metadata", sqlCopyMetadata, []string{"queue_project_name_key"}},
	{"pools of", sqlPoolsOf, []string{"queue_pkey"}},
	{"subscriptions of", sqlSubscriptionsOf, []string{"queue_project_name_key", "queue_home_pkey"}},
	{"extend home", sqlExtendHome, []string{"queue_home_pkey"}},
	{"expired homes", sqlExpiredHomes, []string{"queue_home_expiry", "Tid Scan"}},
	{"keep place", sqlKeep, []string{"queue_pkey"}},
	{"take place back", sqlTakeBack, []string{"queue_pkey"}},
	{"remove", sqlRemove, []string{"queue_pkey"}},
	{"removals", sqlRemovals, []string{"queue_removed"}},
	{"removed", sqlRemoved, []string{"queue_pkey"}},
	{"bare flavors", sqlBareFlavors, []string{"queue_flavor"}},
	{"delete pool", sqlPoolDelete, []string{"pool_name_key"}},
	{"delete flavor", sqlFlavorDelete, []string{"flavor_pkey"}},
	{"old queues", sqlNamesOf, []string{"queue_project_name_key"}},
}

// The statements by which PostgreSQL checks that a pool or a flavor is not in use, for which it makes plans of its own.
var referencePlans = []pinnedPlan{
	{"queues of a pool", `SELECT 1 FROM ONLY queue x WHERE $1 = pool_id FOR KEY SHARE OF x`, []string{"queue_pool"}},
	{"queues of a flavor", `SELECT 1 FROM ONLY queue x WHERE $1 = flavor FOR KEY SHARE OF x`, []string{"queue_flavor"}},
	{"homes in a pool", `DELETE FROM ONLY queue_home WHERE $1 = pool_id`, []string{"queue_home_pool"}},
	{"pools of a flavor", `SELECT 1 FROM ONLY pool x WHERE $1 = flavor FOR KEY SHARE OF x`, []string{"pool"}},
}

func TestCataloguePlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	w.exec(`INSERT INTO flavor (name) SELECT i FROM generate_series(1, 20) i`)
	w.exec(`INSERT INTO pool (name, uri, weight, flavor) SELECT i, i, 1, i % 20 + 1 FROM generate_series(1, 50) i`)
	w.exec(`INSERT INTO queue (project, name, pool_id, flavor, dead_letter_queue, removed_at)
		SELECT i % 5, i, nullif(i % 50, 0), nullif(i % 20, 0), CASE WHEN i % 10 = 0 THEN i / 10 END, CASE WHEN i % 100 = 0 THEN now() END
		FROM generate_series(1, 20000) i`)
	w.exec(`INSERT INTO queue_home (project, name, pool_id, expires_at)
		SELECT i % 5, i, nullif(i % 50, 0), now() + i * interval '1 s' FROM generate_series(1, 20000) i`)
	w.exec(`INSERT INTO placed_queue (queue_id, dropped_at) SELECT i, CASE WHEN i % 2 = 0 THEN now() END FROM generate_series(1, 20000) i`)
	w.exec(`INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at)
		SELECT gen_random_uuid(), 'p', i % 500, i, 60, now() + i * interval '1 s' FROM generate_series(1, 20000) i`)
	w.exec(`ANALYZE`)
	for _, plan := range append(cataloguePlans, referencePlans...) {
		text := w.plan(s, plan.sql)
		for _, want := range plan.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in the plan\n%s", plan.name, want, text)
			}
		}
		for _, bad := range []string{"Seq Scan on queue", "Seq Scan on placed_queue", "Bitmap", "Hash Join", "Merge Join"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %s in the plan\n%s", plan.name, bad, text)
			}
		}
	}
}
