package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func wantPushes(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("pushed %q, want %q", got, want)
	}
}

func TestPushAfterTheReplyAndInOrder(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	producer, subscriber := n.client(), n.client()
	producer.post("before")
	subscriber.must(201, "subscription_create", nil)
	producer.post("one", "two")
	subscriber.post("own")
	producer.post("three")
	wantPushes(t, subscriber.awaitPushes(4), "one", "two", "own", "three")
}

// TestSubscribeWhilePosting checks that whatever comes after the reply of subscription_create comes from its marker
// on, whoever posts meanwhile and wherever.
func TestSubscribeWhilePosting(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	fast := func(c *gateway.Config) { c.Push.PollInterval = 20 * time.Millisecond }
	here, there := startNode(t, url, fast), startNode(t, url, fast)
	const posts = 150
	var mu sync.Mutex
	var promised []string
	var work sync.WaitGroup
	for _, n := range []*node{here, here, there} {
		producer := n.client()
		work.Go(func() {
			for i := range posts {
				ids := producer.post(fmt.Sprint(i), "more")
				mu.Lock()
				promised = append(promised, ids...)
				mu.Unlock()
			}
		})
	}
	type joined struct {
		client *client
		marker string
	}
	subs := make(chan joined, 40)
	for i := range cap(subs) {
		subscriber := []*node{here, there}[i%2].client()
		work.Go(func() {
			status, reply := subscriber.doCompact("subscription_create", nil)
			if status != 201 {
				t.Errorf("subscription_create: %d %v", status, reply)
			}
			subs <- joined{subscriber, reply.(map[string]any)["marker"].(string)}
		})
	}
	work.Wait()
	close(subs)
	reader := here.client()
	all := everything(t, reader)
	for _, id := range promised {
		if !slices.ContainsFunc(all, func(m listed) bool { return m.id == id }) {
			t.Errorf("message %s was answered 201 and is not in the queue", id)
		}
	}
	if len(all) != 3*2*posts {
		t.Fatalf("%d messages in the queue, want %d", len(all), 3*2*posts)
	}
	for s := range subs {
		from := 0
		if s.marker != "beginning" {
			from = 1 + slices.IndexFunc(all, func(m listed) bool { return m.id == s.marker })
		}
		var want []string
		for _, m := range all[from:] {
			want = append(want, m.body)
		}
		if got := s.client.awaitPushes(len(want)); !slices.Equal(got, want) {
			t.Fatalf("subscriber from marker %s got %d pushes that are not the queue's %d", s.marker, len(got), len(want))
		}
	}
}

type listed struct{ id, body string }

// everything lists the whole queue.
func everything(t *testing.T, c *client) (all []listed) {
	t.Helper()
	body := map[string]any{"echo": true, "limit": 20, "include_claimed": true}
	for {
		page := c.must(200, "message_list", body).(map[string]any)["messages"].([]any)
		if len(page) == 0 {
			return all
		}
		for _, m := range page {
			m := m.(map[string]any)
			all = append(all, listed{m["id"].(string), fmt.Sprint(m["body"])})
		}
		body["marker"] = all[len(all)-1].id
	}
}

func TestConsumedMessagesAreStillPushed(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	here, there := startNode(t, url, nil), startNode(t, url, nil)
	subscriber, worker := here.client(), there.client()
	subscriber.must(201, "subscription_create", nil)
	// Posted and consumed through another gateway, of which this one hears nothing but by its poll.
	worker.post("one", "two")
	worker.must(200, "message_delete_many", map[string]any{"pop": 2})
	wantPushes(t, subscriber.awaitPushes(2), "one", "two")
}

func TestPurgeIsToldToThoseBehind(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	slow := func(c *gateway.Config) { c.Push.PollInterval = time.Hour }
	here, there := startNode(t, url, slow), startNode(t, url, slow)
	subscriber, worker := here.client(), there.client()
	subscriber.must(201, "subscription_create", nil)
	worker.post("one", "two")
	worker.must(204, "queue_purge", map[string]any{"resource_types": []string{"messages"}})
	subscriber.post("three")
	wantPushes(t, subscriber.awaitPushes(2), "purged 1-2", "three")
}

func TestDeletedQueueIsToldAndFollowed(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	subscriber, worker := n.client(), n.client()
	subscriber.must(201, "subscription_create", nil)
	worker.post("one")
	subscriber.awaitPushes(1)
	worker.must(204, "queue_delete", nil)
	subscriber.awaitPushes(2)
	worker.must(404, "queue_get_stats", nil) // its subscriber does not bring it back
	worker.post("two")
	wantPushes(t, subscriber.awaitPushes(3), "one", "deleted 2-1", "two")
}

func TestSubscriptionsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	subscriber, other := n.client(), n.client()
	reply := subscriber.must(201, "subscription_create", nil).(map[string]any)
	if _, ok := reply["marker"]; ok {
		t.Errorf("a Zaqar client was sent a marker: %v", reply)
	}
	subs := other.must(200, "subscription_list", nil).(map[string]any)["subscriptions"].([]any)
	if len(subs) != 1 || !strings.HasPrefix(subs[0].(map[string]any)["subscriber"].(string), "http://"+n.addr+"/") {
		t.Fatalf("subscriptions: %v", subs)
	}
	if err := subscriber.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(subs) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the subscription of a closed session stays")
		}
		subs = other.must(200, "subscription_list", nil).(map[string]any)["subscriptions"].([]any)
	}
}

func TestSubscriptionDeleted(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	subscriber, other := n.client(), n.client()
	reply := subscriber.must(201, "subscription_create", nil).(map[string]any)
	id := reply["subscription_id"]
	stranger := n.client()
	stranger.project = "another"
	stranger.must(204, "subscription_delete", map[string]any{"subscription_id": id})
	other.post("one")
	subscriber.awaitPushes(1)
	other.must(204, "subscription_delete", map[string]any{"subscription_id": id})
	wantPushes(t, subscriber.awaitPushes(2), "one", "subscription_ended 2-1")
	// It may subscribe again, and end that itself without a word.
	reply = subscriber.must(201, "subscription_create", nil).(map[string]any)
	subscriber.must(204, "subscription_delete", map[string]any{"subscription_id": reply["subscription_id"]})
	other.post("two")
	subscriber.must(200, "queue_get", nil)
	wantPushes(t, subscriber.awaitPushes(2), "one", "subscription_ended 2-1")
}

func TestExtendedPushesCarryTheirID(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	subscriber := n.client("nusku.v1")
	subscriber.must(201, "subscription_create", nil)
	ids := subscriber.post("one")
	subscriber.awaitPushes(1)
	if push := subscriber.pushes[0]; push["id"] != ids[0] || push["marker"] != ids[0] || push["age"] != 0.0 {
		t.Errorf("push %v, want id and marker %s and age 0", push, ids[0])
	}
}

func TestDelayedMessagesArePushedWhenDue(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	c.must(201, "subscription_create", nil)
	c.must(201, "message_post", map[string]any{"messages": []any{
		map[string]any{"body": "late", "delay": 1}, map[string]any{"body": "now"},
	}})
	wantPushes(t, c.awaitPushes(2), "now", "late")
}
