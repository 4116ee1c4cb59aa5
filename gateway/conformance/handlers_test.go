package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestPostAboveTheQueuesOwnLimit(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	c.must(201, "queue_create", map[string]any{"metadata": map[string]any{"_max_messages_post_size": 100}})
	c.post("short")
	reply := c.must(400, "message_post", map[string]any{"messages": []any{map[string]any{"body": strings.Repeat("x", 200)}}})
	want := "Message collection size is too large. The max size for current queue is 100. It is calculated by max size = " +
		"min(max_messages_post_size_config: 262144, max_messages_post_size_queue: 100)."
	if got := reply.(map[string]any)["exception"]; got != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestOversizePostMakesTheQueue(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	c.must(404, "queue_get_stats", nil)
	c.must(400, "message_post", map[string]any{"messages": []any{map[string]any{"body": strings.Repeat("x", 262_144)}}})
	c.must(200, "queue_get_stats", nil)
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), func(c *gateway.Config) { c.Handlers.Checksum = true })
	c := n.client()
	c.post(map[string]any{"event": 1})
	stats := c.must(200, "queue_get_stats", nil).(map[string]any)["messages"].(map[string]any)
	popped := c.must(200, "message_delete_many", map[string]any{"pop": 1}).(map[string]any)["messages"].([]any)
	for _, m := range []any{stats["oldest"], stats["newest"], popped[0]} {
		if got := m.(map[string]any)["checksum"]; got != checksumOfEvent {
			t.Errorf("checksum %v, want %v", got, checksumOfEvent)
		}
	}
}

// checksumOfEvent is "MD5:" and the MD5 of Python's json.dumps({"event": 1}).
const checksumOfEvent = "MD5:49f80fa65939ee8ddce797bd7adf1013"

func TestClaimOfNothingNamesNoClaim(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	reply := c.must(204, "claim_create", nil).(map[string]any)
	id, _ := reply["claim_id"].(string)
	if id == "" {
		t.Fatalf("no claim id in %v", reply)
	}
	ids := c.post("one")
	c.must(404, "claim_get", map[string]any{"claim_id": id})
	c.must(404, "claim_update", map[string]any{"claim_id": id, "ttl": 60, "grace": 60})
	c.must(204, "claim_delete", map[string]any{"claim_id": id})
	c.must(201, "claim_create", nil)
	c.must(400, "message_delete", map[string]any{"message_id": ids[0], "claim_id": id})
}

func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.URL(t))
	n := startNode(t, proxy.URL(), nil)
	c := n.client()
	c.post("one")
	proxy.Refuse(true)
	proxy.DropAll()
	start := time.Now()
	for _, action := range []string{"message_post", "claim_create", "message_delete", "queue_get_stats", "subscription_create"} {
		body := map[string]any{"message_id": "1-1", "messages": []any{map[string]any{"body": 1}}, "ttl": 100}
		status, reply := c.do(action, body)
		if status != 503 {
			t.Errorf("%s without a database: %d %v, want 503", action, status, reply)
		}
	}
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("five answers took %v", took)
	}
	proxy.Refuse(false)
	for {
		if status, _ := c.do("message_post", map[string]any{"messages": []any{map[string]any{"body": 1}}}); status == 201 {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("posts do not work again")
		}
	}
}

func TestSessionDefaultsByAuthenticate(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	status, reply := c.send(map[string]any{"action": "authenticate", "headers": map[string]any{
		"Client-ID": c.clientID, "X-Project-ID": "p", "X-Auth-Token": "t"}})
	if status != 200 || reply.(map[string]any)["message"] != "Authentified." {
		t.Fatalf("authenticate: %d %v", status, reply)
	}
	status, reply = c.send(map[string]any{"action": "queue_create", "body": map[string]any{"queue_name": "mine"}})
	if status != 201 {
		t.Errorf("a frame without headers after authenticate: %d %v", status, reply)
	}
}
