package client_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol/client"
)

func pointer[T any](v T) *T { return &v }

// manageMethods has the rows of methods for what is not the daily work with messages.
var manageMethods = []methodTest{
	{"update queue", func(ctx context.Context, c *client.Client) (any, error) {
		return c.UpdateQueue(ctx, "q", client.PatchOp{Op: "add", Path: "/metadata/a", Value: json.RawMessage("null")},
			client.PatchOp{Op: "remove", Path: "/metadata/b"})
	}, "queue_update", `{"queue_name":"q","patch":[{"op":"add","path":"/metadata/a","value":null},{"op":"remove","path":"/metadata/b"}]}`, 200,
		`{"a":null}`, json.RawMessage(`{"a":null}`)},
	{"share queue", func(ctx context.Context, c *client.Client) (any, error) {
		return c.ShareQueue(ctx, "q", client.Share{Paths: []string{"messages"}, Methods: []string{"GET"},
			Expires: time.Date(2026, 1, 31, 13, 0, 0, 0, time.FixedZone("", 3600))})
	}, "queue_share", `{"queue_name":"q","paths":["messages"],"methods":["GET"],"expires":"2026-01-31T12:00:00"}`, 200,
		`{"paths":["/v2/queues/q/messages"],"methods":["GET"],"project":"p","expires":"2026-01-31T12:00:00","signature":"s"}`,
		&client.SignedURL{Paths: []string{"/v2/queues/q/messages"}, Methods: []string{"GET"}, Project: "p",
			Expires: "2026-01-31T12:00:00", Signature: "s"}},
	{"share queue, defaults", func(ctx context.Context, c *client.Client) (any, error) {
		return c.ShareQueue(ctx, "q", client.Share{})
	}, "queue_share", `{"queue_name":"q"}`, 200, `{"signature":"s"}`, &client.SignedURL{Signature: "s"}},

	{"create topic", func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateQueue(ctx, client.Topic("t"), nil)
	}, "topic_create", `{"topic_name":"t"}`, 201, `"Topic t created."`, true},
	{"topic stats", func(ctx context.Context, c *client.Client) (any, error) {
		return c.QueueStats(ctx, client.Topic("t"))
	}, "topic_get_stats", `{"topic_name":"t"}`, 200, `{"messages":{"total":1}}`, &client.QueueStats{Total: 1}},
	{"topics", func(ctx context.Context, c *client.Client) (any, error) {
		topics, count, err := c.Topics(ctx, client.QueuePage{Name: "x"})
		return []any{topics, count}, err
	}, "topic_list", `{"name":"x"}`, 200, `{"topics":[{"name":"ax"}],"count":1}`, []any{[]client.Queue{{Name: "ax"}}, 1}},
	{"post to a topic", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Post(ctx, client.Topic("t"), client.NewMessage{Body: 1})
	}, "message_post", `{"topic_name":"t","messages":[{"body":1}]}`, 201, `{"message_ids":["1-1"]}`, []string{"1-1"}},

	{"update subscription", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.UpdateSubscription(ctx, "q", "s", client.SubscriptionChange{TTL: time.Minute, Options: map[string]int{"a": 1}})
	}, "subscription_update", `{"queue_name":"q","subscription_id":"s","ttl":60,"options":{"a":1}}`, 204, `"Subscription s updated."`, nil},
	{"confirm subscription", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ConfirmSubscription(ctx, "q", "s", false)
	}, "subscription_confirm", `{"queue_name":"q","subscription_id":"s","confirmed":false}`, 204, `{}`, nil},
	{"secrets", func(ctx context.Context, c *client.Client) (any, error) {
		return c.SubscriptionSecrets(ctx, "q", "s", true)
	}, "subscription_secret", `{"queue_name":"q","subscription_id":"s","rotate":true}`, 200, `{"secrets":["whsec_b","whsec_a"]}`,
		[]string{"whsec_b", "whsec_a"}},
	{"dead deliveries", func(ctx context.Context, c *client.Client) (any, error) {
		return c.DeadDeliveries(ctx, "q", "s", "4", 2)
	}, "dead_delivery_list", `{"queue_name":"q","subscription_id":"s","marker":"4","limit":2}`, 200,
		`{"dead_deliveries":[{"id":"5","message_id":"1-1","ttl":60,"attempts":3,"reason":"r","failed_at":"2026-01-31T12:00:00Z","resend":true,"body":1}]}`,
		[]client.DeadDelivery{{ID: "5", MessageID: "1-1", Body: json.RawMessage(`1`), Attempts: 3, Reason: "r",
			Failed: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Resend: true}}},
	{"resend", func(ctx context.Context, c *client.Client) (any, error) {
		return c.ResendDeliveries(ctx, "q", "s")
	}, "dead_delivery_resend", `{"queue_name":"q","subscription_id":"s"}`, 204, `{"count":7}`, int64(7)},
	{"discard", func(ctx context.Context, c *client.Client) (any, error) {
		return c.DeleteDeliveries(ctx, "q", "s", "5")
	}, "dead_delivery_delete", `{"queue_name":"q","subscription_id":"s","delivery_ids":["5"]}`, 204, `{"count":1}`, int64(1)},

	{"create pool", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.CreatePool(ctx, "p", client.NewPool{URI: "postgres://h", Flavor: "f"})
	}, "pool_create", `{"pool_name":"p","uri":"postgres://h","weight":0,"flavor":"f"}`, 201, `"Pool p created."`, nil},
	{"pool", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Pool(ctx, "p")
	}, "pool_get", `{"pool_name":"p","detailed":true}`, 200, `{"name":"p","uri":"u","weight":3,"flavor":null,"options":{}}`,
		&client.Pool{Name: "p", URI: "u", Weight: 3, Options: json.RawMessage(`{}`)}},
	{"pools", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Pools(ctx, "a", 2)
	}, "pool_list", `{"marker":"a","limit":2,"detailed":true}`, 200, `{"pools":[]}`, []client.Pool{}},
	{"update pool", func(ctx context.Context, c *client.Client) (any, error) {
		return c.UpdatePool(ctx, "p", client.PoolChange{Weight: pointer(int64(0)), Flavor: pointer("")})
	}, "pool_update", `{"pool_name":"p","weight":0,"flavor":""}`, 200, `{"name":"p"}`, &client.Pool{Name: "p"}},
	{"delete pool", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeletePool(ctx, "p")
	}, "pool_delete", `{"pool_name":"p"}`, 204, `"Pool p removed."`, nil},

	{"create flavor", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.CreateFlavor(ctx, "f", "a", "b")
	}, "flavor_create", `{"flavor_name":"f","pool_list":["a","b"]}`, 201, `"Flavor f created."`, nil},
	{"flavor", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Flavor(ctx, "f")
	}, "flavor_get", `{"flavor_name":"f"}`, 200, `{"name":"f","capabilities":["1"],"pool_list":["a"]}`,
		&client.Flavor{Name: "f", Pools: []string{"a"}, Capabilities: json.RawMessage(`["1"]`)}},
	{"flavors", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Flavors(ctx, "", 0)
	}, "flavor_list", `{"detailed":true}`, 200, `{"flavors":[{"name":"f"}]}`, []client.Flavor{{Name: "f"}}},
	{"update flavor", func(ctx context.Context, c *client.Client) (any, error) {
		return c.UpdateFlavor(ctx, "f", "b")
	}, "flavor_update", `{"flavor_name":"f","pool_list":["b"]}`, 200, `{"name":"f"}`, &client.Flavor{Name: "f"}},
	{"delete flavor", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeleteFlavor(ctx, "f")
	}, "flavor_delete", `{"flavor_name":"f"}`, 204, `"Flavor f removed."`, nil},

	{"health of one pool", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Health(ctx)
	}, "check_node_health", ``, 200, `{"storage_reachable":true,"operation_status":{"x":{"succeeded":false,"seconds":0.5,"ref":"r"}}}`,
		&client.Health{CatalogReachable: true, Pools: []client.PoolHealth{{Name: "default", Reachable: true,
			Operations: map[string]client.OperationHealth{"x": {Seconds: 0.5, Ref: "r"}}}}}},
	{"health of two pools", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Health(ctx)
	}, "check_node_health", ``, 200,
		`{"catalog_reachable":true,"a":{"storage_reachable":false,"operation_status":{}},"default":{"storage_reachable":true,"operation_status":{},` +
			`"message_volume":{"free":1,"claimed":2,"total":3}}}`,
		&client.Health{CatalogReachable: true, Pools: []client.PoolHealth{
			{Name: "default", Reachable: true, Operations: map[string]client.OperationHealth{}, Volume: &client.MessageVolume{Free: 1, Claimed: 2, Total: 3}},
			{Name: "a", Operations: map[string]client.OperationHealth{}},
		}}},
	{"ping", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Ping(ctx)
	}, "ping_node", ``, 204, `{}`, nil},
	{"home document", func(ctx context.Context, c *client.Client) (any, error) {
		return c.HomeDocument(ctx)
	}, "get_home_doc", ``, 200, `{"resources":{}}`, json.RawMessage(`{"resources":{}}`)},
}

func TestPoolHealthOK(t *testing.T) {
	t.Parallel()
	well, failed := client.OperationHealth{Succeeded: true}, client.OperationHealth{}
	for name, test := range map[string]struct {
		health client.PoolHealth
		want   bool
	}{
		"well":        {client.PoolHealth{Reachable: true, Operations: map[string]client.OperationHealth{"a": well}}, true},
		"failing":     {client.PoolHealth{Reachable: true, Operations: map[string]client.OperationHealth{"a": well, "b": failed}}, false},
		"unreachable": {client.PoolHealth{}, false},
	} {
		if got := test.health.OK(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	upgrades := make(chan string, 1)
	url := serve(t, func(s *session) {
		upgrades <- s.upgrade.Header.Get("X-Roles")
		s.receive()
	})
	dial(t, url, client.Options{Roles: []string{"admin", "user"}})
	if diff := cmp.Diff("admin,user", <-upgrades); diff != "" {
		t.Error(diff)
	}
}

// TestSubscribeToTopic: what is pushed names a topic as it names a queue.
func TestSubscribeToTopic(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	url := serve(t, func(s *session) {
		r, _ := s.receive()
		asked <- string(r.Body)
		s.reply(r, 201, `{"subscription_id":"s"}`)
		s.send(`{"Message_Type":"Notification","queue_name":"t","ttl":60,"body":"news"}`)
		s.receive()
	})
	c := dial(t, url, client.Options{})
	sub, err := c.Subscribe(within(t), client.Topic("t"), client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"topic_name":"t"}`, <-asked); diff != "" {
		t.Error(diff)
	}
	event, err := sub.Next(within(t))
	if err != nil || string(event.Body) != `"news"` {
		t.Errorf("event %s, error %v", event.Body, err)
	}
}
