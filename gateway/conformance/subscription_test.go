package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// TestSubscriptionEndedThroughAnotherGateway checks that a socket is told when another gateway deletes or purges its
// subscription, and gets nothing more: at once with a hint, after a while without.
func TestSubscriptionEndedThroughAnotherGateway(t *testing.T) {
	t.Parallel()
	for _, linked := range []bool{true, false} {
		for _, action := range []string{"subscription_delete", "queue_purge"} {
			t.Run(fmt.Sprintf("%s, linked %v", action, linked), func(t *testing.T) {
				t.Parallel()
				url := storetest.URL(t)
				patient := func(c *gateway.Config) {
					if c.Push.ObserveInterval = 30 * time.Second; !linked {
						c.Push.ObserveInterval = time.Second
					}
				}
				opt := nodeOptions{change: patient, linked: linked}
				here, there := start(t, url, opt), start(t, url, opt)
				subscriber, other, stays := here.client(), there.client(), here.client()
				stays.project = "other"
				stays.must(201, "subscription_create", nil)
				reply := subscriber.must(201, "subscription_create", nil).(map[string]any)
				subscriber.post("one")
				wantPushes(t, subscriber.awaitPushes(1), "one")
				begun := time.Now()
				other.must(204, action, map[string]any{
					"subscription_id": reply["subscription_id"], "resource_types": []string{"subscriptions"},
				})
				wantPushes(t, subscriber.awaitPushes(2), "one", "subscription_ended 2-1")
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("told after %v", took)
				}
				subscriber.post("two")
				subscriber.must(201, "subscription_create", nil)
				subscriber.post("three")
				wantPushes(t, subscriber.awaitPushes(3), "one", "subscription_ended 2-1", "three")
				stays.post("mine")
				wantPushes(t, stays.awaitPushes(1), "mine")
			})
		}
	}
}

// TestSubscribedAgainGetsNothingTwice checks that a socket that subscribes again before its gateway knows that the
// first subscription was deleted gets every message once.
func TestSubscribedAgainGetsNothingTwice(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	here, there := startNode(t, url, nil), startNode(t, url, nil)
	subscriber, other := here.client(), there.client()
	reply := subscriber.must(201, "subscription_create", nil).(map[string]any)
	other.must(204, "subscription_delete", map[string]any{"subscription_id": reply["subscription_id"]})
	subscriber.must(201, "subscription_create", nil)
	for i := range 5 {
		subscriber.post(fmt.Sprint(i))
	}
	subscriber.must(200, "queue_get", nil)
	wantPushes(t, subscriber.awaitPushes(5), "0", "1", "2", "3", "4")
	subs := other.must(200, "subscription_list", nil).(map[string]any)["subscriptions"].([]any)
	if len(subs) != 1 {
		t.Errorf("subscriptions: %v", subs)
	}
}

// TestSubscribersShareAnObservation checks that only who finds a queue unobserved, or not for much longer, notes that it
// is: thousands who subscribe to one queue would wait for one another.
func TestSubscribersShareAnObservation(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	n := startNode(t, url, nil)
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // t's own context has ended by then
	subscribe := func() (written string, left time.Duration) {
		t.Helper()
		n.client().must(201, "subscription_create", nil)
		var seconds float64
		row := db.QueryRow(t.Context(), `SELECT xmin::text, extract(epoch FROM observed_until - now())::float8 FROM queue_watch`)
		if err := row.Scan(&written, &seconds); err != nil {
			t.Fatal(err)
		}
		return written, time.Duration(seconds * float64(time.Second))
	}
	first, _ := subscribe()
	if second, _ := subscribe(); second != first {
		t.Error("an observation that lasts was written again")
	}
	if _, err := db.Exec(t.Context(), `UPDATE queue_watch SET observed_until = now() + interval '20 s'`); err != nil {
		t.Fatal(err)
	}
	if _, left := subscribe(); left < 40*time.Second {
		t.Errorf("observed for %v more, which is too short", left)
	}
}

func TestSubscriptionFrom(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	for _, from := range []any{7, "Now", "", "1-01"} {
		reply := c.must(400, "subscription_create", map[string]any{"options": map[string]any{"from": from}})
		if text := fmt.Sprint(reply.(map[string]any)["exception"]); !strings.Contains(text, `"from"`) {
			t.Errorf("from %v: %s", from, text)
		}
	}
	c.must(201, "subscription_create", map[string]any{"options": map[string]any{"from": "now"}})
}

func TestMarkerOfAnEmptyQueueListsFromItsHead(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client("nusku.v1")
	reply := c.must(201, "subscription_create", nil).(map[string]any)
	c.post("one", "two")
	page := c.must(200, "message_list", map[string]any{"marker": reply["marker"], "echo": true}).(map[string]any)["messages"].([]any)
	if len(page) != 2 {
		t.Errorf("behind marker %v: %v", reply["marker"], page)
	}
}

// TestDeadLetterShowsItsOrigin checks that pop and pushes tell those who know of it where a dead letter came from, and
// Zaqar's clients nothing that they do not know.
func TestDeadLetterShowsItsOrigin(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	n := startNode(t, url, nil)
	// Through another gateway, which reads what it pushes.
	reader := startNode(t, url, func(c *gateway.Config) { c.Push.PollInterval = 20 * time.Millisecond })
	c, zaqar, extended := n.client(), reader.client(), reader.client("nusku.v1")
	c.must(201, "queue_create", map[string]any{"metadata": map[string]any{
		"_max_claim_count": 1, "_dead_letter_queue": "dead", "_dead_letter_queue_messages_ttl": 600}})
	dead := map[string]any{"queue_name": "dead"}
	zaqar.must(201, "subscription_create", dead)
	extended.must(201, "subscription_create", dead)
	c.post("one", "two")
	claim := c.must(201, "claim_create", map[string]any{"ttl": 60, "grace": 60}).(map[string]any)["claim_id"]
	c.must(204, "claim_delete", map[string]any{"claim_id": claim})
	c.must(204, "claim_create", nil)

	zaqar.awaitPushes(2)
	extended.awaitPushes(2)
	known := map[bool][]map[string]any{false: zaqar.pushes, true: extended.pushes}
	pops := dead
	pops["pop"] = 1
	_, compact := c.doCompact("message_delete_many", pops)
	known[true] = append(known[true], compact.(map[string]any)["messages"].([]any)[0].(map[string]any))
	plain := c.must(200, "message_delete_many", pops)
	known[false] = append(known[false], plain.(map[string]any)["messages"].([]any)[0].(map[string]any))
	for shown, messages := range known {
		for _, m := range messages {
			if _, ok := m["origin"]; ok != shown {
				t.Errorf("origin shown %v, want %v: %v", ok, shown, m)
			}
			if _, ok := m["claim_count"]; shown && !ok {
				t.Errorf("no claim_count in %v", m)
			}
		}
	}
}

func TestStatsTellOfDelayedMessages(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	c.must(201, "message_post", map[string]any{"messages": []any{
		map[string]any{"body": "late", "delay": 60}, map[string]any{"body": "now"},
	}})
	counts := func(reply any) string {
		m := reply.(map[string]any)["messages"].(map[string]any)
		delete(m, "oldest")
		delete(m, "newest")
		text, _ := json.Marshal(m) // a map from a reply
		return string(text)
	}
	if got, want := counts(c.must(200, "queue_get_stats", nil)), `{"claimed":0,"free":2,"total":2}`; got != want {
		t.Errorf("Zaqar's frame: %s, want %s", got, want)
	}
	_, reply := c.doCompact("queue_get_stats", nil)
	if got, want := counts(reply), `{"claimed":0,"delayed":1,"free":1,"total":2}`; got != want {
		t.Errorf("with an id: %s, want %s", got, want)
	}
}

func TestQueueListWithCount(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c, other := n.client(), n.client()
	other.project = "other"
	other.must(201, "queue_create", nil)
	for _, name := range []string{"a", "b", "c"} {
		c.must(201, "queue_create", map[string]any{"queue_name": name})
	}
	reply := c.must(200, "queue_list", map[string]any{"with_count": true, "limit": 1}).(map[string]any)
	if reply["count"] != 3.0 || len(reply["queues"].([]any)) != 1 {
		t.Errorf("with_count: %v", reply)
	}
	if _, ok := c.must(200, "queue_list", nil).(map[string]any)["count"]; ok {
		t.Error("a count that was not asked for")
	}
}
