package conformance

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/store/storetest"
)

// promised is how long an answer may take whatever the database does.
const promised = 5 * time.Second

// pending is a frame that waits for its reply.
type pending struct {
	name string
	sent time.Time
}

// sendID sends a frame with an id and notes it.
func (c *client) sendID(waiting map[string]pending, id, action string, body map[string]any) {
	c.t.Helper()
	frame := map[string]any{"id": id, "action": action, "body": body,
		"headers": map[string]any{"Client-ID": c.clientID, "X-Project-ID": c.project, "X-Auth-Token": "t"}}
	payload, err := json.Marshal(frame)
	if err != nil {
		c.t.Fatal(err)
	}
	waiting[id] = pending{action, time.Now()}
	if err := c.Send(false, payload); err != nil {
		c.t.Fatal(err)
	}
}

// settle awaits the replies to all frames and checks them.
func (c *client) settle(waiting map[string]pending) {
	c.t.Helper()
	for len(waiting) > 0 {
		answer := c.receive()
		id := answer["id"].(string)
		p, ok := waiting[id]
		if !ok {
			c.t.Fatalf("answered twice: %v", answer)
		}
		delete(waiting, id)
		if took := time.Since(p.sent); took > promised {
			c.t.Errorf("%s %s was answered after %v", p.name, id, took)
		}
		status := answer["headers"].(map[string]any)["status"].(float64)
		body, _ := answer["body"].(map[string]any)
		if status != 503 || body["retry_after"] == nil || body["outcome"] == nil {
			c.t.Errorf("%s %s: %v %v, want 503 with a hint when to try again", p.name, id, status, answer["body"])
		}
	}
}

var oneMessage = []any{map[string]any{"body": "x", "ttl": 300}}

// TestEverythingIsAnsweredWhileTheDatabaseStandsStill freezes the database and checks that each frame is answered in
// time: what is under way, what comes later, and what waits behind an action of any kind in its session's order.
func TestEverythingIsAnsweredWhileTheDatabaseStandsStill(t *testing.T) {
	t.Parallel()
	for _, first := range []string{
		"message_post", "message_list", "queue_get_stats", "queue_list", "claim_create", "queue_purge", "message_delete",
		"subscription_create",
	} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			proxy := storetest.NewProxy(t, storetest.URL(t))
			n := start(t, proxy.URL(), nodeOptions{})
			c := n.client()
			ids := c.post("before")
			body := func(queue string) map[string]any {
				return map[string]any{"queue_name": queue, "messages": oneMessage, "message_id": ids[0], "ttl": 300, "grace": 300}
			}
			waiting := make(map[string]pending)
			proxy.Freeze()
			thaw := time.AfterFunc(time.Minute, proxy.Thaw) // a failed test must not hang in its clean-up
			defer thaw.Stop()
			c.sendID(waiting, "first", first, body("q"))
			for i, queue := range []string{"q", "new", "q"} {
				c.sendID(waiting, fmt.Sprint("post ", i), "message_post", body(queue))
			}
			c.sendID(waiting, "claim", "claim_create", body("q"))
			// What comes in the middle of the wait has a time of its own.
			pause := time.NewTimer(2 * time.Second)
			<-pause.C
			c.sendID(waiting, "late claim", "claim_create", body("q"))
			c.sendID(waiting, "late post", "message_post", body("q"))
			c.sendID(waiting, "late list", "message_list", body("q"))
			c.sendID(waiting, "late delete", "message_delete", body("q"))
			c.settle(waiting)
			proxy.Thaw()
			awaitWorking(t, c)
		})
	}
}

// awaitWorking waits until all kinds of actions work again.
func awaitWorking(t *testing.T, c *client) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, step := range []struct {
		action string
		status []int
		body   map[string]any
	}{
		{"message_post", []int{201}, map[string]any{"messages": oneMessage}},
		{"queue_list", []int{200}, nil},
		{"message_list", []int{200}, nil},
		{"claim_create", []int{201}, nil},
		{"queue_get_stats", []int{200}, nil},
		{"subscription_create", []int{201, 409}, nil}, // 409: the first one was made after all
	} {
		for {
			status, reply := c.do(step.action, step.body)
			if len(step.status) > 0 && (status == step.status[0] || status == step.status[len(step.status)-1]) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not work again: %d %v", step.action, status, reply)
			}
		}
	}
}
