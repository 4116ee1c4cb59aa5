package store

import (
	"strings"
	"testing"
)

// deliveryPlans are the statements of durable subscriptions, and what their plans must contain.
var deliveryPlans = []pinnedPlan{
	{"create", durableCreateSQL, []string{"queue_seq_pkey", "subscription_", "gateway_pkey"}},
	{"existing", subscriptionOfSQL, []string{"subscription_"}},
	{"confirm again", confirmAgainSQL, []string{"subscription_pkey", "delivery_pkey"}},
	{"count confirmations", confirmationsSQL, []string{"confirmation_quota_pkey"}},
	{"old quotas", sqlOldQuotas, []string{"confirmation_quota_until", "confirmation_quota_pkey"}},
	{"update", updateSQL, []string{"subscription_pkey", "delivery_pkey", "queue_project_name_key"}},
	{"confirm", confirmSQL, []string{"subscription_pkey", "delivery_pkey"}},
	{"secrets", secretsSQL, []string{"subscription_pkey"}},
	{"rotate", secretsRotateSQL, []string{"subscription_pkey"}},
	{"lock watch", unwatchLockSQL, []string{"queue_project_name_key", "queue_watch_pkey"}},
	{"end watch", unwatchSQL, []string{"queue_project_name_key", "queue_watch_pkey", "Index Only Scan Backward using subscription_durable"}},
	{"lease", leaseTakeSQL, []string{"delivery_lease", "delivery_pkey", "subscription_pkey", "queue_project_name_key"}},
	{"read", durableReadSQL, []string{"delivery_pkey", "subscription_pkey", "queue_project_name_key"}},
	{"renew", leaseRenewSQL, []string{"delivery_pkey", "subscription_pkey"}},
	{"release", leaseReleaseSQL, []string{"delivery_pkey", "subscription_pkey"}},
	{"release all", leaseReleaseAllSQL, []string{"delivery_pkey", "delivery_lease"}},
	{"progress", progressSQL, []string{"delivery_pkey"}},
	{"progress in another queue", progressMovedSQL, []string{"delivery_pkey", "queue_seq_pkey", "subscription_pkey"}},
	{"bury", buryDeliverySQL, []string{"delivery_pkey", "Backward using dead_delivery_", "dead_delivery_pkey"}},
	{"confirmation sent", confirmationSentSQL, []string{"delivery_pkey"}},
	{"dead deliveries", deadDeliveriesSQL, []string{"subscription_pkey", "dead_delivery_pkey"}},
	{"dropped deliveries", droppedDeliveriesSQL, []string{"subscription_pkey", "delivery_pkey"}},
	{"resend", resendDeliveriesSQL, []string{"subscription_pkey", "delivery_pkey", "dead_delivery_pkey"}},
	{"delete dead", deleteDeliveriesSQL, []string{"subscription_pkey", "delivery_pkey", "dead_delivery_pkey"}},
	{"lock resends", resendsLockSQL, []string{"delivery_pkey"}},
	{"pending resends", resendsPendingSQL, []string{"dead_delivery_resend"}},
	{"no resends", resendsNoneSQL, []string{"delivery_pkey", "dead_delivery_resend"}},
	{"resent", resendDoneSQL, []string{"delivery_pkey", "dead_delivery_pkey"}},
	{"not resent", resendFailedSQL, []string{"delivery_pkey", "dead_delivery_pkey"}},
	{"expired dead deliveries", sqlExpiredDeadDeliveries, []string{"dead_delivery_expiry", "Tid Scan on dead_delivery"}},
	{"sweep", sqlSweep, []string{"queue_pkey", "subscription_durable", "delivery_pkey"}},
	{"sweep look", sqlSweepLook, []string{"queue_pkey", "subscription_durable", "delivery_pkey"}},
	{"create queue", sqlQueueCreate, []string{"subscription_durable"}},
	{"purge subscriptions", sqlPurgeSubscriptions, []string{"subscription_pkey"}},
}

// The plans are looked at with the statistics of full tables, where a wrong one would cost something, and on empty ones
// for what must never be read as a whole.
func TestDeliveryPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.store("", still)
	explain := func(t *testing.T, full bool) {
		for _, plan := range deliveryPlans {
			text := w.plan(s, plan.sql)
			for _, want := range plan.want {
				if full && !strings.Contains(text, want) {
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
	t.Run("empty", func(t *testing.T) { explain(t, false) })
	w.fillDurable(20_000)
	w.exec(`INSERT INTO dead_delivery (subscription_id, queue_id, n, inbox, ttl, codec, attempts, reason, expires_at, body)
		SELECT subscription_id, 1, i, false, 60, 0, 1, '', now() + i * interval '1 s', '' FROM delivery, generate_series(1, 3) i`)
	w.exec(`INSERT INTO confirmation_quota SELECT sha256(int4send(i)), 1, now() + i * interval '1 s' FROM generate_series(-10, 20000) i`)
	w.exec(`ANALYZE`)
	t.Run("full", func(t *testing.T) { explain(t, true) })
}

// fillDurable makes n durable subscriptions, one in a hundred to each queue, of which a thousandth is free.
func (w *world) fillDurable(n int) {
	w.t.Helper()
	w.exec(`INSERT INTO queue (project, name) SELECT 'p', 'fill' || i FROM generate_series(0, 99) i`)
	w.exec(`INSERT INTO queue_seq (id) SELECT id FROM queue ON CONFLICT DO NOTHING`)
	w.exec(`INSERT INTO queue_watch (queue_id, observed_until) SELECT id, now() + interval '1 d' FROM queue ON CONFLICT DO NOTHING`)
	w.exec(`INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, confirmed, secrets, secrets_until)
		SELECT gen_random_uuid(), 'p', 'fill' || i % 100, 'http://h/' || i, 86400, now() + interval '1 d', i % 10 > 0,
			ARRAY['\x00'::bytea], ARRAY['infinity'::timestamptz] FROM generate_series(1, $1) i`, n)
	w.exec(`INSERT INTO delivery (subscription_id, queue_id, cursor, confirmed, lease_holder, lease_token, lease_until)
		SELECT id, 1, 0, confirmed, gen_random_uuid(), 1,
			CASE WHEN n % 1000 = 1 THEN '-infinity' ELSE now() + interval '1 h' END FROM subscription WHERE gateway_id IS NULL
		ON CONFLICT DO NOTHING`)
}
