package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// eventsOnly makes a gateway find what calls wait for by events alone.
func eventsOnly(c *gateway.Config) {
	c.Wait.ScoutInterval = time.Hour
	c.Wait.PerSession = 200
}

// claimed is a claim's reply.
func claimed(t *testing.T, reply any) (id string, bodies []string) {
	t.Helper()
	body := reply.(map[string]any)
	list, _ := body["messages"].([]any)
	for _, m := range list {
		bodies = append(bodies, fmt.Sprint(m.(map[string]any)["body"]))
	}
	return body["claim_id"].(string), bodies
}

// start sends an action with an id and does not wait for its reply.
func (c *client) start(action string, body map[string]any) {
	c.t.Helper()
	c.id++
	body["queue_name"] = "q"
	frame, err := json.Marshal(map[string]any{
		"id": c.id, "action": action, "body": body,
		"headers": map[string]any{"Client-ID": c.clientID, "X-Project-ID": c.project},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Send(false, frame); err != nil {
		c.t.Fatal(err)
	}
}

// reply returns the status and the body of the next reply.
func (c *client) reply() (int, any) {
	c.t.Helper()
	answer := c.receive()
	return int(answer["headers"].(map[string]any)["status"].(float64)), answer["body"]
}

// TestClaimWaits checks that a claim waits for a message: of a queue that does not exist, and whoever posts it.
func TestClaimWaits(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	here := start(t, url, nodeOptions{change: eventsOnly, told: true})
	there := start(t, url, nodeOptions{change: eventsOnly, told: true})
	for round, poster := range []*node{here, there, here, there} {
		worker := here.client()
		worker.start("claim_create", map[string]any{"wait": 20, "limit": 1})
		awaitWaiting(t, here, 1)
		if round == 0 {
			list := poster.client().must(200, "queue_list", nil).(map[string]any)["queues"].([]any)
			if len(list) > 0 {
				t.Errorf("waiting has made the queue: %v", list)
			}
		}
		poster.client().post(fmt.Sprint("m", round))
		status, reply := worker.reply()
		if _, bodies := claimed(t, reply); status != 201 || len(bodies) != 1 || bodies[0] != fmt.Sprint("m", round) {
			t.Fatalf("round %d: %d %v", round, status, reply)
		}
	}
}

// awaitWaiting waits until so many calls are parked.
func awaitWaiting(t *testing.T, n *node, calls int) {
	t.Helper()
	for began := time.Now(); n.gw.Waiting() != calls; {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d calls wait, want %d", n.gw.Waiting(), calls)
		}
		<-time.After(time.Millisecond)
	}
}

// TestWaitIsOver checks what is answered when nothing comes.
func TestWaitIsOver(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), eventsOnly)
	c := n.client()
	for action, want := range map[string]int{"claim_create": 204, "message_list": 200} {
		began := time.Now()
		status, reply := c.doCompact(action, map[string]any{"wait": 1})
		if took := time.Since(began); status != want || took < time.Second || took > 3*time.Second {
			t.Errorf("%s: %d %v after %v", action, status, reply, took)
		}
	}
	status, _, body := n.ask(t, "POST", "/v2/queues/q/claims?wait=1", "")
	if status != 204 || body != "" {
		t.Errorf("REST claim: %d %s", status, body)
	}
	status, _, body = n.ask(t, "GET", "/v2/queues/q/messages?wait=1", "")
	if status != 200 || !strings.Contains(body, `"messages":[]`) {
		t.Errorf("REST list: %d %s", status, body)
	}
}

// ask sends a request.
func (n *node) ask(t *testing.T, method, path, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.addr+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	req.Header.Set("Client-ID", "11111111-1111-4111-8111-111111111111")
	req.Header.Set("X-Project-ID", "p")
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestWaitOverREST checks that requests wait, too, and that what they get is theirs.
func TestWaitOverREST(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), eventsOnly)
	answers := make(chan string, 2)
	go func() {
		status, h, body := n.ask(t, "POST", "/v2/queues/q/claims?wait=20", `{"ttl": 100}`)
		answers <- fmt.Sprint(status, " ", h.Get("Location") != "", strings.Contains(body, `"body":"one"`))
	}()
	awaitWaiting(t, n, 1)
	go func() {
		status, _, body := n.ask(t, "GET", "/v2/queues/q/messages?wait=20&echo=true&include_claimed=true", "")
		answers <- fmt.Sprint(status, " ", true, strings.Contains(body, `"body":"one"`))
	}()
	awaitWaiting(t, n, 2)
	n.client().post("one")
	for range 2 {
		if got := <-answers; !strings.HasSuffix(got, " true true") || !strings.HasPrefix(got, "20") {
			t.Error(got)
		}
	}
}

// TestParkedClaimHoldsUpNothing checks that other frames of its session on its queue pass a claim that waits.
func TestParkedClaimHoldsUpNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), eventsOnly)
	c := n.client()
	c.start("claim_create", map[string]any{"wait": 30, "limit": 1})
	awaitWaiting(t, n, 1)
	if status, _ := c.do("queue_create", nil); status != 201 {
		t.Fatalf("queue_create: %d", status)
	}
	ids := c.id
	c.start("message_post", map[string]any{"messages": []any{map[string]any{"body": 1, "ttl": 300}}})
	for range 2 {
		frame := c.receive()
		switch frame["id"] {
		case float64(ids):
			if _, bodies := claimed(t, frame["body"]); len(bodies) != 1 {
				t.Errorf("claim: %v", frame)
			}
		case float64(ids + 1):
			if frame["headers"].(map[string]any)["status"] != 201.0 {
				t.Errorf("post: %v", frame)
			}
		}
	}
}

// TestNextOfAListWaits checks the loop of a reader that waits for what follows its marker.
func TestNextOfAListWaits(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	here := start(t, url, nodeOptions{change: eventsOnly, told: true})
	there := start(t, url, nodeOptions{change: eventsOnly, told: true})
	const posts = 100
	var posting sync.WaitGroup
	defer posting.Wait()
	producers := []*client{here.client(), there.client()}
	posting.Go(func() {
		for i := range posts {
			producers[i%2].post(i)
		}
	})
	reader, marker := here.client(), ""
	for next := 0; next < posts; {
		status, reply := reader.doCompact("message_list", map[string]any{"marker": marker, "echo": true, "wait": 20})
		page := reply.(map[string]any)["messages"].([]any)
		if status != 200 || len(page) == 0 {
			t.Fatalf("%d %v", status, reply)
		}
		for _, m := range page {
			m := m.(map[string]any)
			if m["body"] != float64(next) {
				t.Fatalf("got %v, want message %d", m["body"], next)
			}
			marker = m["id"].(string)
			next++
		}
	}
}

// TestReleaseWakes checks that messages given back, by a release or because their claimer is gone, go to who waits.
func TestReleaseWakes(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	here := start(t, url, nodeOptions{change: eventsOnly, told: true})
	there := start(t, url, nodeOptions{change: eventsOnly, told: true})
	for _, n := range []*node{here, there} {
		first, second := there.client(), n.client()
		first.post("m")
		_, reply := first.doCompact("claim_create", map[string]any{"limit": 1})
		id, _ := claimed(t, reply)
		second.start("claim_create", map[string]any{"wait": 20})
		awaitWaiting(t, n, 1)
		first.must(204, "claim_delete", map[string]any{"claim_id": id})
		status, reply := second.reply()
		if _, bodies := claimed(t, reply); status != 201 || len(bodies) != 1 {
			t.Fatalf("%d %v", status, reply)
		}
	}
}

// TestScoutFindsClaimsThatRunOut checks the net below the events.
func TestScoutFindsClaimsThatRunOut(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), func(c *gateway.Config) {
		c.Limits.MinClaimTTL = 1
		c.Wait.ScoutInterval = 50 * time.Millisecond
	})
	c := n.client()
	c.post("m")
	c.must(201, "claim_create", map[string]any{"ttl": 1})
	status, reply := c.doCompact("claim_create", map[string]any{"wait": 20})
	if _, bodies := claimed(t, reply); status != 201 || len(bodies) != 1 {
		t.Fatalf("%d %v", status, reply)
	}
}

// TestNoWakeIsLost posts thousands of messages against claims that wait, on two gateways: every message is
// claimed, by events alone.
func TestNoWakeIsLost(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	nodes := []*node{
		start(t, url, nodeOptions{change: eventsOnly, told: true}), start(t, url, nodeOptions{change: eventsOnly, told: true}),
	}
	const posts, workers = 3000, 12
	var seen sync.Map
	var left atomic.Int64
	left.Store(posts)
	all := make(chan struct{})
	var work sync.WaitGroup
	for i := range workers {
		c := nodes[i%2].client()
		work.Go(func() { c.consume(&seen, &left, all) })
	}
	began := time.Now()
	for i := range 6 {
		c := nodes[i%2].client()
		work.Go(func() {
			for j := range posts / 6 {
				c.post(fmt.Sprint(i, "-", j))
			}
		})
	}
	select {
	case <-all:
	case <-time.After(60 * time.Second):
		t.Errorf("%d messages are left, and %d claims wait for them", left.Load(), nodes[0].gw.Waiting()+nodes[1].gw.Waiting())
		close(all)
	}
	t.Logf("%v", time.Since(began))
	for range 2 * workers { // let those go that still wait
		nodes[0].client().post("end")
	}
	work.Wait()
}

// consume claims one message at a time, and deletes it, until all are gone.
func (c *client) consume(seen *sync.Map, left *atomic.Int64, all chan struct{}) {
	for {
		status, reply := c.doCompact("claim_create", map[string]any{"wait": 60, "limit": 1})
		if status != 201 {
			c.t.Errorf("claim: %d %v", status, reply)
			return
		}
		claim := reply.(map[string]any)
		m := claim["messages"].([]any)[0].(map[string]any)
		if status, _ := c.doCompact("message_delete", map[string]any{"message_id": m["id"], "claim_id": claim["claim_id"]}); status != 204 {
			c.t.Errorf("delete: %d", status)
		}
		if m["body"] == "end" {
			return
		}
		if _, again := seen.LoadOrStore(m["body"], true); again {
			c.t.Errorf("%v was claimed twice", m["body"])
		}
		if left.Add(-1) == 0 {
			close(all)
		}
	}
}

// TestWhoHangsUpGetsNothing checks that the wait of a client that is gone is over at once, and that the message goes to
// the next.
func TestWhoHangsUpGetsNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), eventsOnly)
	sockets := []*client{n.client(), n.client()}
	for _, c := range sockets {
		c.start("claim_create", map[string]any{"wait": 60, "limit": 1})
		// Claimed ones, too: the claim beside it may have the message before the list looks.
		c.start("message_list", map[string]any{"wait": 60, "include_claimed": true})
	}
	ctx, hangUp := context.WithCancel(t.Context())
	var requests sync.WaitGroup
	for _, r := range []string{"POST /v2/queues/q/claims?wait=60", "GET /v2/queues/q/messages?wait=60&include_claimed=true"} {
		method, path, _ := strings.Cut(r, " ")
		req, err := http.NewRequestWithContext(ctx, method, "http://"+n.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Client-ID", sockets[0].clientID)
		req.Header.Set("X-Project-ID", "p")
		requests.Go(func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
				t.Errorf("%s: %s", r, resp.Status)
			}
		})
	}
	awaitWaiting(t, n, 6)
	hangUp()
	requests.Wait()
	_ = sockets[0].ws.CloseNow()
	awaitWaiting(t, n, 2)
	n.client().post("m")
	for range 2 {
		if status, reply := sockets[1].reply(); status > 201 || !strings.Contains(fmt.Sprint(reply), "body:m") {
			t.Errorf("%d %v", status, reply)
		}
	}
}

// TestStopEndsWaits checks that a gateway that stops answers at once who waits.
func TestStopEndsWaits(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), eventsOnly)
	c := n.client()
	c.start("claim_create", map[string]any{"wait": 60})
	status := make(chan int, 1)
	go func() {
		code, _, _ := n.ask(t, "GET", "/v2/queues/q/messages?wait=60", "")
		status <- code
	}()
	awaitWaiting(t, n, 2)
	if err := n.gw.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if code, reply := c.reply(); code != 204 {
		t.Errorf("claim: %d %v", code, reply)
	}
	if code := <-status; code != 200 {
		t.Errorf("list: %d", code)
	}
}

// TestWaitsAreBounded checks that too many are told so, and that who finds something at once does not wait.
func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), func(c *gateway.Config) {
		eventsOnly(c)
		c.Wait.PerSession, c.Wait.PerAddress, c.Wait.PerProject, c.Wait.MaxCalls = 1, 1, 3, 4
	})
	first := make(chan int, 1)
	go func() {
		// Claimed ones, too: a claim that waits may have the message before the list looks.
		status, _, _ := n.ask(t, "GET", "/v2/queues/q/messages?wait=60&include_claimed=true", "")
		first <- status
	}()
	awaitWaiting(t, n, 1)
	one, two, other := n.client(), n.client(), n.client()
	other.project = "other"
	for i, c := range []*client{one, two, other} {
		c.start("claim_create", map[string]any{"wait": 60})
		awaitWaiting(t, n, i+2)
	}
	if status, h, body := n.ask(t, "POST", "/v2/queues/q/claims?wait=9", ""); status != 503 || h.Get("Retry-After") != "1" {
		t.Errorf("in all: %d %s", status, body)
	}
	_ = other.ws.CloseNow()
	awaitWaiting(t, n, 3)
	for name, c := range map[string]*client{"session": one, "project": n.client()} {
		if status, reply := c.doCompact("message_list", map[string]any{"wait": 9}); status != 429 {
			t.Errorf("%s: %d %v", name, status, reply)
		}
	}
	if status, h, body := n.ask(t, "POST", "/v2/queues/q/claims?wait=9", ""); status != 429 || h.Get("Retry-After") != "1" {
		t.Errorf("address: %d %s", status, body)
	}
	// Who finds something at once need not wait.
	c := n.client()
	if status, reply := c.doCompact("claim_create", map[string]any{"queue_name": "r", "wait": 9}); status != 429 {
		t.Errorf("nothing there: %d %v", status, reply)
	}
	c.must(201, "message_post", map[string]any{"queue_name": "r", "messages": []any{map[string]any{"body": 1, "ttl": 300}}})
	if status, reply := c.doCompact("claim_create", map[string]any{"queue_name": "r", "wait": 9}); status != 201 {
		t.Errorf("something there: %d %v", status, reply)
	}
	c.post("for those who wait")
	if status := <-first; status != 200 {
		t.Errorf("the first: %d", status)
	}
}
