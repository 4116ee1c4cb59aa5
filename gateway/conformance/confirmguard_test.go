package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/store/storetest"
)

// Who has subscribed somebody cannot confirm in the subscriber's place, over either transport: not without a signed URL,
// and not with one of queue_share.
func TestOnlySubscriberConfirms(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	id := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/hook")
	path := "/v2/queues/q/subscriptions/" + id
	yes, no := map[string]bool{"confirmed": true}, map[string]bool{"confirmed": false}
	share := n.share(map[string]any{"paths": []string{"subscriptions"}, "methods": []string{"PUT"}})
	for name, headers := range map[string]map[string]string{
		"unsigned": nil, "shared": share.headers(), "another role": {"X-Roles": "member"},
	} {
		a := n.http("PUT", path+"/confirm", headers, yes)
		if a.status != 403 || !strings.Contains(a.body, "Only the subscriber can confirm") {
			t.Errorf("%s: %+v", name, a)
		}
		frame := map[string]any{"Client-ID": uuid.NewString(), "X-Project-ID": "p"}
		for key, value := range headers {
			frame[key] = value
		}
		status, reply := n.client().send(map[string]any{"action": "subscription_confirm", "headers": frame,
			"body": map[string]any{"queue_name": "q", "subscription_id": id, "confirmed": true}})
		if text, _ := reply.(map[string]any)["exception"].(string); status != 403 || !strings.Contains(text, "Only the subscriber can confirm") {
			t.Errorf("%s, in a frame: %d %v", name, status, reply)
		}
	}
	if n.confirmed(path) {
		t.Fatal("confirmed by somebody else")
	}
	if a := n.http("PUT", path+"/confirm", map[string]string{"X-Roles": "admin"}, yes); a.status != 204 || !n.confirmed(path) {
		t.Errorf("by an administrator: %+v", a)
	}
	if a := n.http("PUT", path+"/confirm", nil, no); a.status != 204 || n.confirmed(path) {
		t.Errorf("not wanted any more: %+v", a)
	}
}

// A frame with the signed URL of the request for confirmation confirms.
func TestSubscriberConfirmsByFrame(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	id := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/hook")
	r := confirmation(t, "q", id, "http://127.0.0.1:1/hook")
	status, reply := n.client().send(map[string]any{"action": "subscription_confirm",
		"headers": map[string]any{"Client-ID": uuid.NewString(), "X-Project-ID": "p", "URL-Signature": r.Signature,
			"URL-Methods": []string{r.Methods}, "URL-Paths": []string{r.Paths}, "URL-Expires": r.Expires},
		"body": map[string]any{"queue_name": "q", "subscription_id": id, "confirmed": true}})
	if status != 204 || !n.confirmed("/v2/queues/q/subscriptions/"+id) {
		t.Errorf("%d %v", status, reply)
	}
}

// Who has confirmed by its own link must not get another address confirmed: the subscription would lead there.
func TestConfirmedSubscriberStays(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	id := n.subscribe("/v2/queues/q/subscriptions", "http://u:secret@127.0.0.1:1/hook")
	path := "/v2/queues/q/subscriptions/" + id
	if a := n.http("PATCH", path, nil, map[string]any{"subscriber": "http://127.0.0.1:1/victim"}); a.status != 409 {
		t.Errorf("another address: %+v", a)
	}
	for _, same := range []string{"http://u:secret@127.0.0.1:1/hook", "http://u:xxxxx@127.0.0.1:1/hook"} {
		if a := n.http("PATCH", path, nil, map[string]any{"subscriber": same, "ttl": 700}); a.status != 204 {
			t.Errorf("the same address: %+v", a)
		}
	}
	if a := n.http("GET", path, nil, nil); a.status != 200 || !strings.Contains(a.body, "http://u:xxxxx@127.0.0.1:1/hook") {
		t.Errorf("%+v", a)
	}
}

// A subscriber is not asked without end: what is one too many is answered 429 and leaves nothing.
func TestConfirmationsAreBounded(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	bound := 20
	for i := range bound + 1 {
		path := "/v2/queues/q" + strings.Repeat("x", i) + "/subscriptions"
		a := n.http("POST", path, nil, map[string]any{"subscriber": "http://127.0.0.1:1/hook", "ttl": 600})
		switch {
		case i < bound && a.status != 201:
			t.Fatalf("subscription %d: %+v", i, a)
		case i == bound && (a.status != 429 || !strings.Contains(a.body, "requests for confirmation")):
			t.Errorf("one too many: %+v", a)
		case i == bound:
			if list := n.http("GET", path, nil, nil); strings.Contains(list.body, "hook") {
				t.Errorf("it was made all the same: %+v", list)
			}
		}
	}
	// Within the pause a subscription that exists is answered as ever, and asks nobody.
	if a := n.http("POST", "/v2/queues/q/subscriptions", nil, map[string]any{"subscriber": "http://127.0.0.1:1/hook", "ttl": 600}); a.status != 201 {
		t.Errorf("made again: %+v", a)
	}
}

// Passwords of addresses are shown to nobody; two addresses that differ in nothing else are two.
func TestSubscriberPasswordIsMasked(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	one := n.subscribe("/v2/queues/q/subscriptions", "http://u:secret1@127.0.0.1:1/hook")
	n.subscribe("/v2/queues/q/subscriptions", "http://u:secret2@127.0.0.1:1/hook")
	c := n.client()
	_, listed := c.do("subscription_list", map[string]any{})
	_, found := c.do("subscription_get", map[string]any{"subscription_id": one})
	for name, text := range map[string]string{
		"list": n.http("GET", "/v2/queues/q/subscriptions", nil, nil).body, "get": n.http("GET", "/v2/queues/q/subscriptions/"+one, nil, nil).body,
		"a frame's list": fmt.Sprint(listed), "a frame's get": fmt.Sprint(found),
	} {
		if strings.Contains(text, "secret") || !strings.Contains(text, "http://u:xxxxx@127.0.0.1:1/hook") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
