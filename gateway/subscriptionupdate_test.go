package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// subscriptionBackend keeps subscriptions of the queue q in memory.
type subscriptionBackend struct {
	*sessionBackend
	mu      sync.Mutex
	subs    map[uuid.UUID]protocol.Subscription
	secrets [][]byte
	dead    []protocol.DeadDelivery
}

func (b *subscriptionBackend) Subscription(_ context.Context, key protocol.QueueKey, id uuid.UUID) (*protocol.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key.Name != "q" {
		return nil, protocol.ErrNoQueue
	}
	sub, ok := b.subs[id]
	if !ok {
		return nil, fmt.Errorf("subscription: %w", protocol.ErrNoSubscription)
	}
	return &sub, nil
}

func (b *subscriptionBackend) UpdateSubscription(_ context.Context, _ protocol.QueueKey, id uuid.UUID, change protocol.SubscriptionChange) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	sub := b.subs[id]
	if change.Subscriber != nil {
		for other := range b.subs {
			if other != id && b.subs[other].Subscriber == *change.Subscriber {
				return protocol.ErrSubscriptionExists
			}
		}
		sub.Subscriber = strings.Clone(*change.Subscriber)
	}
	if change.TTL != nil {
		sub.TTL = *change.TTL
	}
	if change.Options != nil {
		sub.Options = slices.Clone(change.Options)
	}
	b.subs[id] = sub
	return nil
}

func (b *subscriptionBackend) SubscriptionSecrets(_ context.Context, _ protocol.QueueKey, _ uuid.UUID, rotate bool) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rotate {
		b.secrets = [][]byte{[]byte("new"), b.secrets[0]}
	}
	return b.secrets, nil
}

func (b *subscriptionBackend) DeadDeliveries(_ context.Context, _ protocol.QueueKey, _ uuid.UUID, marker int64, limit int) ([]protocol.DeadDelivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dead := slices.DeleteFunc(slices.Clone(b.dead), func(d protocol.DeadDelivery) bool { return d.ID <= marker })
	return dead[:min(limit, len(dead))], nil
}

func (b *subscriptionBackend) ResendDeliveries(_ context.Context, _ protocol.QueueKey, _ uuid.UUID, ids []int64) (n int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.dead {
		if ids == nil || slices.Contains(ids, b.dead[i].ID) {
			b.dead[i].Resend = true
			n++
		}
	}
	return n, nil
}

func (b *subscriptionBackend) DeleteDeliveries(_ context.Context, _ protocol.QueueKey, _ uuid.UUID, ids []int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.dead)
	b.dead = slices.DeleteFunc(b.dead, func(d protocol.DeadDelivery) bool { return ids == nil || slices.Contains(ids, d.ID) })
	return int64(before - len(b.dead)), nil
}

// The subscriptions of the tests below.
const (
	hookID   = "00000000-0000-4000-8000-00000000000a"
	otherID  = "00000000-0000-4000-8000-00000000000b"
	socketID = "00000000-0000-4000-8000-00000000000c"
)

func newSubscriptionBackend() *subscriptionBackend {
	b := &subscriptionBackend{
		sessionBackend: newSessionBackend(), subs: map[uuid.UUID]protocol.Subscription{}, secrets: [][]byte{[]byte("old")},
	}
	for id, subscriber := range map[string]string{hookID: "http://h/1", otherID: "http://h/2", socketID: "http://gateway/x"} {
		key := protocol.QueueKey{Project: testProject, Name: "q"}
		sub := protocol.Subscription{ID: uuid.MustParse(id), Queue: key, Subscriber: subscriber, TTL: 600, Options: []byte(`{}`)}
		sub.Socket = id == socketID
		b.subs[sub.ID] = sub
	}
	return b
}

func frameFor(id, fields string) string {
	return `{"queue_name":"q","subscription_id":"` + id + `"` + fields + `}`
}

// TestSubscriptionUpdate goes through the record of changed subscriptions.
func TestSubscriptionUpdate(t *testing.T) {
	t.Parallel()
	const base, missing = "/v2/queues/q/subscriptions/", `{"title":"Not found","description":"Subscription nope does not exist"}`
	const missingFrame = `{"exception":"Subscription nope does not exist","error":"Subscription nope for queue q does not exist."}`
	checkAll(t, newSubscriptionBackend(), []bothWays{
		{name: "update", request: "PATCH " + base + hookID, body: `{"ttl":700,"subscriber":"http://h/3"}`, status: 204,
			got:    map[string]string{"Location": base + hookID},
			action: "subscription_update", frame: frameFor(hookID, `,"options":{"a":1}`), replyStatus: 204, reply: `"Subscription ` + hookID + ` updated."`},
		{name: "updated", request: "GET " + base + hookID, status: 200,
			response: `{"id":"` + hookID + `","source":"q","subscriber":"http://h/3","ttl":700,"age":0,"options":{"a":1},"confirmed":false}`},
		{name: "ttl too small", request: "PATCH " + base + hookID, body: `{"ttl":10}`, status: 400,
			response: `{"title":"Invalid API request","description":"The TTL for a subscription must be at least 60 seconds long."}`,
			action:   "subscription_update", frame: frameFor(hookID, `,"ttl":10`), replyStatus: 400,
			reply: `{"exception":"The TTL for a subscription must be at least 60 seconds long.","error":null}`},
		{name: "a scheme that is not supported", request: "PATCH " + base + hookID, body: `{"subscriber":"gopher://h/"}`, status: 400,
			response: `{"title":"Invalid API request","description":"The subscriber type of subscription must be supported in the list ['http', 'https', 'mailto']."}`},
		{name: "a subscriber that exists", request: "PATCH " + base + hookID, body: `{"subscriber":"http://h/2"}`, status: 409,
			response: `{"title":"Resource conflict","description":"Such subscription already exists. Subscriptions are unique by project + queue + subscriber URI."}`,
			action:   "subscription_update", frame: frameFor(hookID, `,"subscriber":"http://h/2"`), replyStatus: 409,
			reply: `{"exception":"Such subscription already exists. Subscriptions are unique by project + queue + subscriber URI.","error":null}`},
		{name: "missing", request: "PATCH " + base + "nope", body: `{"ttl":700}`, status: 404, response: missing,
			action: "subscription_update", frame: frameFor("nope", `,"ttl":700`), replyStatus: 404, reply: missingFrame},
		{name: "missing queue", request: "PATCH /v2/queues/other/subscriptions/" + hookID, body: `{"ttl":700}`, status: 404,
			response: `{"title":"Not found","description":"Subscription ` + hookID + ` does not exist"}`},
		{name: "a socket's", request: "PATCH " + base + socketID, body: `{"ttl":700}`, status: 409,
			response: `{"title":"Resource conflict","description":"` + errSocketSubscription.Exception + `"}`,
			action:   "subscription_update", frame: frameFor(socketID, `,"ttl":700`), replyStatus: 409,
			reply: `{"exception":"` + errSocketSubscription.Exception + `","error":null}`},
	})
}

func TestSubscriptionSecret(t *testing.T) {
	t.Parallel()
	const path = "/v2/queues/q/subscriptions/" + hookID + "/secret"
	checkAll(t, newSubscriptionBackend(), []bothWays{
		{name: "get", request: "GET " + path, status: 200, response: `{"secrets":["whsec_b2xk"]}`, got: map[string]string{"Cache-Control": "no-store"},
			action: "subscription_secret", frame: frameFor(hookID, ``), replyStatus: 200, reply: `{"secrets":["whsec_b2xk"]}`},
		{name: "rotate", request: "POST " + path, status: 200, response: `{"secrets":["whsec_bmV3","whsec_b2xk"]}`,
			action: "subscription_secret", frame: frameFor(hookID, `,"rotate":true`), replyStatus: 200, reply: `{"secrets":["whsec_bmV3","whsec_bmV3"]}`},
		{name: "missing", request: "GET /v2/queues/q/subscriptions/nope/secret", status: 404,
			response: `{"title":"Not found","description":"Subscription nope does not exist"}`},
		{name: "a socket's", action: "subscription_secret", frame: frameFor(socketID, ``), replyStatus: 409,
			reply: `{"exception":"` + errSocketSubscription.Exception + `","error":null}`},
	})
}

func TestDeadDeliveries(t *testing.T) {
	t.Parallel()
	b := newSubscriptionBackend()
	failed := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for i := range int64(4) {
		b.dead = append(b.dead, protocol.DeadDelivery{
			ID: i + 1, MessageID: protocol.MessageID{Queue: 1, N: i + 1}, Body: []byte("\x81\xa1n\x01"), Codec: protocol.MessagePack,
			TTL: 60, Attempts: 7, Reason: "answered 500", Failed: failed,
		})
	}
	const base = "/v2/queues/q/subscriptions/" + hookID + "/dead_deliveries"
	first := `{"id":"1","message_id":"1-1","ttl":60,"attempts":7,"reason":"answered 500","failed_at":"2026-01-31T12:00:00Z","resend":false,"body":{"n":1}}`
	again := strings.Replace(strings.NewReplacer(`"1"`, `"3"`, "1-1", "1-3").Replace(first), "false", "true", 1)
	checkAll(t, b, []bothWays{
		{name: "list", request: "GET " + base + "?limit=1", status: 200,
			response: `{"dead_deliveries":[` + first + `],"links":[{"rel":"next","href":"` + base + `?limit=1&marker=1"}]}`,
			action:   "dead_delivery_list", frame: frameFor(hookID, `,"limit":1`), replyStatus: 200, reply: `{"dead_deliveries":[` + first + `]}`},
		{name: "resend", request: "POST " + base + "/resend", body: `{"delivery_ids":["1"]}`, status: 204,
			action: "dead_delivery_resend", frame: frameFor(hookID, `,"delivery_ids":["3","9"]`), replyStatus: 204, reply: `{"count":1}`},
		{name: "list, marker", request: "GET " + base + "?marker=2&limit=1", status: 200,
			response: `{"dead_deliveries":[` + again + `],"links":[{"rel":"next","href":"` + base + `?marker=3&limit=1"}]}`},
		{name: "resend all", action: "dead_delivery_resend", frame: frameFor(hookID, ``), replyStatus: 204, reply: `{"count":4}`},
		{name: "delete all", action: "dead_delivery_delete", frame: frameFor(hookID, ``), replyStatus: 204, reply: `{"count":4}`},
		{name: "delete", request: "DELETE " + base, status: 204},
		{name: "list, nothing", request: "GET " + base, status: 200, response: `{"dead_deliveries":[],"links":[]}`},
		{name: "missing", request: "GET /v2/queues/q/subscriptions/nope/dead_deliveries", status: 404,
			response: `{"title":"Not found","description":"Subscription nope does not exist"}`,
			action:   "dead_delivery_resend", frame: frameFor("nope", ``), replyStatus: 404,
			reply: `{"exception":"Subscription nope does not exist","error":"Subscription nope for queue q does not exist."}`},
		{name: "no id", action: "dead_delivery_delete", frame: frameFor(hookID, `,"delivery_ids":["x"]`), replyStatus: 400,
			reply: `{"exception":"\"x\" is not the id of a dead delivery.","error":null}`},
	})
}
