package client_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// methodTest is a method: what it sends, what it is answered, what it returns.
type methodTest struct {
	name   string
	call   func(context.Context, *client.Client) (any, error)
	action string
	body   string
	status int
	reply  string
	want   any
}

// methods has a row per method.
var methods = []methodTest{
	{"create queue", func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateQueue(ctx, "q", map[string]int{"_default_message_ttl": 300})
	}, "queue_create", `{"queue_name":"q","metadata":{"_default_message_ttl":300}}`, 201, `"Queue q created."`, true},
	{"create queue again", func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateQueue(ctx, "q", nil)
	}, "queue_create", `{"queue_name":"q"}`, 204, `"Queue q created."`, false},
	{"queue", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Queue(ctx, "q")
	}, "queue_get", `{"queue_name":"q"}`, 200, `{"a":1}`, json.RawMessage(`{"a":1}`)},
	{"queues", func(ctx context.Context, c *client.Client) (any, error) {
		queues, count, err := c.Queues(ctx, client.QueuePage{Marker: "a", Limit: 2, Detailed: true, WithCount: true})
		return []any{queues, count}, err
	}, "queue_list", `{"marker":"a","limit":2,"detailed":true,"with_count":true}`, 200, `{"queues":[{"name":"b"}],"count":7}`,
		[]any{[]client.Queue{{Name: "b"}}, 7}},
	{"delete queue", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeleteQueue(ctx, "q")
	}, "queue_delete", `{"queue_name":"q"}`, 204, `"Queue q removed."`, nil},
	{"stats", func(ctx context.Context, c *client.Client) (any, error) {
		return c.QueueStats(ctx, "q")
	}, "queue_get_stats", `{"queue_name":"q"}`, 200,
		`{"messages":{"claimed":1,"free":2,"total":3,"oldest":{"id":"1-1","ttl":60,"age":2,"body":{}}}}`,
		&client.QueueStats{Claimed: 1, Free: 2, Total: 3,
			Oldest: &client.Message{ID: "1-1", TTL: time.Minute, Age: 2 * time.Second, Body: json.RawMessage(`{}`)}}},
	{"purge", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.PurgeQueue(ctx, "q", "messages")
	}, "queue_purge", `{"queue_name":"q","resource_types":["messages"]}`, 204, `{}`, nil},

	{"post", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Post(ctx, "q", client.NewMessage{Body: "<&>", TTL: time.Minute, Delay: 1500 * time.Millisecond},
			client.NewMessage{Body: 1, Delay: client.NoDelay})
	}, "message_post", `{"queue_name":"q","messages":[{"body":"<&>","ttl":60,"delay":2},{"body":1,"delay":0}]}`, 201,
		`{"message_ids":["1-1","1-2"]}`, []string{"1-1", "1-2"}},
	{"messages", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Messages(ctx, "q", client.MessagePage{Marker: "1-1", Limit: 3, Echo: true, IncludeClaimed: true, IncludeDelayed: true})
	}, "message_list", `{"queue_name":"q","marker":"1-1","limit":3,"echo":true,"include_claimed":true,"include_delayed":true}`, 200,
		`{"messages":[{"id":"1-2","claim_id":null,"ttl":60,"age":0,"body":"x"}]}`,
		[]client.Message{{ID: "1-2", TTL: time.Minute, Body: json.RawMessage(`"x"`)}}},
	{"message", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Message(ctx, "q", "1-2")
	}, "message_get", `{"queue_name":"q","message_id":"1-2"}`, 200,
		`{"messages":{"id":"1-2","claim_id":"c","ttl":60,"age":0,"body":null,"checksum":"MD5:x","claim_count":2}}`,
		&client.Message{ID: "1-2", ClaimID: "c", TTL: time.Minute, Body: json.RawMessage(`null`), Checksum: "MD5:x", ClaimCount: 2}},
	{"messages by id", func(ctx context.Context, c *client.Client) (any, error) {
		return c.MessagesByID(ctx, "q", "1-2", "1-3")
	}, "message_get_many", `{"queue_name":"q","message_ids":["1-2","1-3"]}`, 200, `{"messages":[]}`, []client.Message{}},
	{"delete message", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeleteMessage(ctx, "q", "1-2", "c")
	}, "message_delete", `{"queue_name":"q","message_id":"1-2","claim_id":"c"}`, 204, `{}`, nil},
	{"delete messages", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeleteMessages(ctx, "q", []string{"1-2"}, "c")
	}, "message_delete_many", `{"queue_name":"q","message_ids":["1-2"],"claim_ids":["c"]}`, 204, `{}`, nil},
	{"pop", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Pop(ctx, "q", 2)
	}, "message_delete_many", `{"queue_name":"q","pop":2}`, 200, `{"messages":[]}`, []client.Message{}},

	{"claim", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Claim(ctx, "q", client.ClaimOptions{Limit: 2, TTL: time.Minute, Grace: 90 * time.Second})
	}, "claim_create", `{"queue_name":"q","limit":2,"ttl":60,"grace":90}`, 201,
		`{"claim_id":"c","messages":[{"id":"1-1","claim_id":"c","ttl":60,"age":0,"body":1}]}`,
		&client.Claim{ID: "c", Messages: []client.Message{{ID: "1-1", ClaimID: "c", TTL: time.Minute, Body: json.RawMessage(`1`)}}}},
	{"claim of nothing", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Claim(ctx, "q", client.ClaimOptions{})
	}, "claim_create", `{"queue_name":"q"}`, 204, `{"claim_id":"c"}`, (*client.Claim)(nil)},
	{"claim by id", func(ctx context.Context, c *client.Client) (any, error) {
		return c.ClaimByID(ctx, "q", "c")
	}, "claim_get", `{"queue_name":"q","claim_id":"c"}`, 200, `{"age":1,"ttl":60,"messages":[]}`,
		&client.Claim{ID: "c", TTL: time.Minute, Age: time.Second, Messages: []client.Message{}}},
	{"renew", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.RenewClaim(ctx, "q", "c", client.ClaimOptions{TTL: time.Minute})
	}, "claim_update", `{"queue_name":"q","claim_id":"c","ttl":60}`, 204, `"Claim c updated."`, nil},
	{"release", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.ReleaseClaim(ctx, "q", "c")
	}, "claim_delete", `{"queue_name":"q","claim_id":"c"}`, 204, `"Claim c deleted."`, nil},

	{"create subscription", func(ctx context.Context, c *client.Client) (any, error) {
		return c.CreateSubscription(ctx, "q", client.NewSubscription{Subscriber: "http://h/", TTL: time.Minute, Options: map[string]int{"a": 1}})
	}, "subscription_create", `{"queue_name":"q","subscriber":"http://h/","ttl":60,"options":{"a":1}}`, 201,
		`{"subscription_id":"s","message":"Subscription q created."}`, "s"},
	{"subscriptions", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Subscriptions(ctx, "q", "s", 3)
	}, "subscription_list", `{"queue_name":"q","marker":"s","limit":3}`, 200,
		`{"subscriptions":[{"id":"t","source":"q","subscriber":"http://h/","ttl":60,"age":1,"options":{},"confirmed":true}]}`,
		[]client.StoredSubscription{{ID: "t", Queue: "q", Subscriber: "http://h/", TTL: time.Minute, Age: time.Second,
			Options: json.RawMessage(`{}`), Confirmed: true}}},
	{"subscription", func(ctx context.Context, c *client.Client) (any, error) {
		return c.Subscription(ctx, "q", "s")
	}, "subscription_get", `{"queue_name":"q","subscription_id":"s"}`, 200, `{"id":"s","source":"q","ttl":60,"options":{}}`,
		&client.StoredSubscription{ID: "s", Queue: "q", TTL: time.Minute, Options: json.RawMessage(`{}`)}},
	{"delete subscription", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.DeleteSubscription(ctx, "q", "s")
	}, "subscription_delete", `{"queue_name":"q","subscription_id":"s"}`, 204, `"Subscription s removed."`, nil},
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(methods, manageMethods) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			received := make(chan request, 1)
			url := serve(t, answer(func(r request) (int, string) {
				received <- r
				return m.status, m.reply
			}))
			got, err := m.call(within(t), dial(t, url, client.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m.want, got); diff != "" {
				t.Error("result:", diff)
			}
			r := <-received
			if r.Action != m.action {
				t.Errorf("action %q, want %q", r.Action, m.action)
			}
			if diff := cmp.Diff(m.body, string(r.Body)); diff != "" {
				t.Error("body:", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		want       client.Error
	}{
		{"exception", `{"exception":"no","error":null}`, client.Error{Exception: "no"}},
		{"error", `{"error":"bad"}`, client.Error{Text: "bad"}},
		{"sentence", `"Subscription q not created."`, client.Error{Text: "Subscription q not created."}},
		{"everything", `{"exception":"a","error":"b","retry_after":2,"outcome":"unknown"}`,
			client.Error{Exception: "a", Text: "b", RetryAfter: 2 * time.Second, Outcome: "unknown"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, answer(func(request) (int, string) { return 503, test.body }))
			_, err := dial(t, url, client.Options{}).Post(within(t), "q", client.NewMessage{Body: 1})
			if client.Status(err) != 503 {
				t.Fatalf("error %v, want one of status 503", err)
			}
			test.want.Action, test.want.Status = "message_post", 503
			if diff := cmp.Diff(&test.want, err); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSessionDefaults(t *testing.T) {
	t.Parallel()
	upgrades := make(chan [3]string, 1)
	url := serve(t, func(s *session) {
		h := s.upgrade.Header
		upgrades <- [3]string{h.Get("X-Project-ID"), h.Get("Client-ID"), s.ws.Subprotocol()}
		s.receive()
	})
	c := dial(t, url, client.Options{Project: "p", Extended: true})
	if diff := cmp.Diff([3]string{"p", c.ClientID(), client.Subprotocol}, <-upgrades); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	received := make(chan map[string]string, 1)
	url := serve(t, answer(func(r request) (int, string) {
		received <- r.Headers
		return 200, `{"message":"Authentified."}`
	}))
	c := dial(t, url, client.Options{Project: "p"})
	if err := c.Authenticate(within(t), "secret"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"X-Auth-Token": "secret", "X-Project-ID": "p", "Client-ID": c.ClientID()}
	if diff := cmp.Diff(want, <-received); diff != "" {
		t.Error(diff)
	}
}
