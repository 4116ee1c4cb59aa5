package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// eventSource reads an event stream as browsers do: it knows nothing of headers, but remembers the last event's id.
type eventSource struct {
	t    *testing.T
	n    *node
	path string

	lastID string
	resp   *http.Response
	lines  *bufio.Scanner
	hangUp context.CancelFunc
}

// event is what a page gets.
type event struct {
	kind, data string
}

// stream opens a stream of queue q.
func (n *node) stream(t *testing.T, query string) *eventSource {
	t.Helper()
	s := &eventSource{t: t, n: n, path: "/v2/queues/q/messages/stream?client_id=11111111-1111-4111-8111-111111111111&project_id=p" + query}
	s.open()
	return s
}

// open connects, again if it was connected before.
func (s *eventSource) open() {
	s.t.Helper()
	ctx, hangUp := context.WithTimeout(s.t.Context(), time.Minute) // a test that fails is to end
	s.t.Cleanup(hangUp)
	s.hangUp = hangUp
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.n.addr+s.path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.lastID != "" {
		req.Header.Set("Last-Event-ID", s.lastID)
	}
	if s.resp, err = http.DefaultClient.Do(req); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.resp.Body.Close() })
	if kind := s.resp.Header.Get("Content-Type"); s.resp.StatusCode != 200 || kind != "text/event-stream" {
		s.t.Fatalf("%s, %s", s.resp.Status, kind)
	}
	s.lines = bufio.NewScanner(s.resp.Body)
	s.lines.Buffer(nil, 1<<20)
	s.block() // the start, which sets the id
}

// block reads up to an empty line and returns its fields; nil at the end.
func (s *eventSource) block() map[string]string {
	fields := map[string]string{}
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			if id, ok := fields["id"]; ok {
				s.lastID = id
			}
			return fields
		}
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimPrefix(value, " ")
	}
	return nil
}

// next returns the next event; its kind is "" at the end of the stream.
func (s *eventSource) next() event {
	for {
		fields := s.block()
		if fields == nil {
			return event{}
		}
		if data, ok := fields["data"]; ok {
			return event{fields["event"], data}
		}
	}
}

// bodies reads n messages and returns their bodies.
func (s *eventSource) bodies(n int) (list []string) {
	s.t.Helper()
	for range n {
		e := s.next()
		var push struct {
			Type string `json:"Message_Type"`
			ID   string
			Body any
		}
		if err := json.Unmarshal([]byte(e.data), &push); err != nil || e.kind != "message" || push.Type != "Notification" || push.ID == "" {
			s.t.Fatalf("%+v: %v", e, err)
		}
		list = append(list, fmt.Sprint(push.Body))
	}
	return list
}

func TestStream(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	c.post("before")
	s := n.stream(t, "")
	c.post("one")
	payload := []byte("{\"action\": \"message_post\", \"body\": {\"queue_name\": \"q\", \"messages\": [{\"body\": {\"a\":\r\n\n1}, \"ttl\": 300}]}," +
		"\"headers\": {\"Client-ID\": \"" + c.clientID + "\", \"X-Project-ID\": \"p\"}}")
	if err := c.Send(false, payload); err != nil {
		t.Fatal(err)
	}
	c.receive()
	wantPushes(t, s.bodies(2), "one", "map[a:1]")
	list := c.must(200, "subscription_list", nil).(map[string]any)["subscriptions"].([]any)
	if len(list) != 1 || !strings.HasPrefix(list[0].(map[string]any)["subscriber"].(string), "sse://") {
		t.Errorf("subscriptions %v", list)
	}
	s.hangUp()
	for began := time.Now(); len(c.must(200, "subscription_list", nil).(map[string]any)["subscriptions"].([]any)) > 0; {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the subscription outlives its stream")
		}
	}
}

// TestStreamResumes reads ten thousand messages, posted on two gateways meanwhile, through a stream that is cut and
// opened again many times, on either gateway: none is missing, none comes twice.
func TestStreamResumes(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	nodes := []*node{start(t, url, nodeOptions{told: true}), start(t, url, nodeOptions{told: true})}
	const posts, each = 500, 20
	s := nodes[0].stream(t, "")
	var posting sync.WaitGroup
	defer posting.Wait()
	producers := []*client{nodes[0].client(), nodes[1].client()}
	posting.Go(func() {
		for i := range posts {
			var batch []any
			for j := range each {
				batch = append(batch, i*each+j)
			}
			producers[i%2].post(batch...)
		}
	})
	for next := 0; next < posts*each; {
		// Cut in the middle, after fewer and more messages.
		for range min(posts*each-next, 1+next%701) {
			if got := s.bodies(1)[0]; got != fmt.Sprint(float64(next)) {
				t.Fatalf("got %s, want %d", got, next)
			}
			next++
		}
		s.hangUp()
		s.n = nodes[next%2]
		s.open()
	}
}

// TestStreamStarts checks where a stream begins.
func TestStreamStarts(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	n := startNode(t, url, nil)
	c := n.client()
	c.must(201, "queue_create", map[string]any{"queue_name": "other"})
	foreign := c.must(201, "message_post", map[string]any{"queue_name": "other", "messages": []any{map[string]any{"body": 1, "ttl": 300}}}).(map[string]any)["message_ids"].([]any)[0].(string)
	ids := c.post("a", "b", "c")
	wantPushes(t, n.stream(t, "&marker=beginning").bodies(3), "a", "b", "c")
	wantPushes(t, n.stream(t, "&marker="+ids[0]).bodies(2), "b", "c")
	for what, marker := range map[string]string{"another queue's": foreign, "nonsense": "xyz", "not there yet": ids[2] + "0"} {
		status, _, body := n.ask(t, "GET", "/v2/queues/q/messages/stream?marker="+marker, "", "Accept: */*")
		if status != 400 || !strings.Contains(body, "marker") {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	// A marker whose messages are gone, and one of a queue that is gone.
	c.must(204, "queue_purge", map[string]any{"resource_types": []string{"messages"}})
	// Another gateway: this one may still have them in memory.
	n = startNode(t, url, nil)
	if e := n.stream(t, "&marker="+ids[0]).next(); e.kind != "gap" || !strings.Contains(e.data, `"from":2,"to":3,"reason":"purged"`) {
		t.Errorf("purged: %+v", e)
	}
	c.must(204, "queue_delete", nil)
	c.post("d")
	s := n.stream(t, "&marker="+ids[1])
	if e := s.next(); e.kind != "gap" || !strings.Contains(e.data, `"reason":"deleted"`) {
		t.Errorf("deleted: %+v", e)
	}
	wantPushes(t, s.bodies(1), "d")
}

// TestStreamFromDelayedMessage checks that the id of a message that was delayed is a marker, also when it is gone.
func TestStreamFromDelayedMessage(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	s := n.stream(t, "")
	reply := c.must(201, "message_post", map[string]any{"messages": []any{map[string]any{"body": "late", "ttl": 300, "delay": 1}}})
	id := reply.(map[string]any)["message_ids"].([]any)[0].(string)
	if status, _, body := n.ask(t, "GET", "/v2/queues/q/messages/stream?marker="+id, "", "Accept: */*"); status != 400 {
		t.Errorf("not due: %d %s", status, body)
	}
	wantPushes(t, s.bodies(1), "late")
	c.post("next")
	c.must(204, "message_delete", map[string]any{"message_id": id})
	wantPushes(t, n.stream(t, "&marker="+id).bodies(1), "next")
}

func TestStreamEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	s := n.stream(t, "")
	ended := make(chan string, 1)
	go func() {
		var last map[string]string
		for fields := s.block(); fields != nil; fields = s.block() {
			last = fields
		}
		ended <- last["retry"]
	}()
	if err := n.gw.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if retry := <-ended; retry != "1000" {
		t.Errorf("retry: %q", retry)
	}
}

// TestStreamRequests checks what a stream wants of its request, and what it answers to others.
func TestStreamRequests(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), func(c *gateway.Config) {
		c.Streams.MaxStreamsPerAddress = 1
		c.Streams.Heartbeat = 10 * time.Millisecond
		c.REST.CORSOrigins = []string{"https://app.example.com"}
	})
	const path = "/v2/queues/q/messages/stream"
	if status, _, body := n.ask(t, "GET", path, "", "Accept: application/json"); status != 406 {
		t.Errorf("JSON: %d %s", status, body)
	}
	for _, query := range []string{"?limit=5", "?echo=false", "?marker=beginning&wait=3", "?foo=1"} {
		status, _, body := n.ask(t, "GET", path+query, "", "Accept: */*")
		if status != 400 || !strings.Contains(body, "does not take the parameter") {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	if status, h, body := n.ask(t, "POST", path, ""); status != 405 || h.Get("Allow") != "GET, OPTIONS" {
		t.Errorf("POST: %d %s", status, body)
	}
	if status, h, _ := n.ask(t, "HEAD", path, ""); status != 200 || h.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", status, h)
	}
	resp, err := http.Get("http://" + n.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("without identity: %s", resp.Status)
	}
	s := n.stream(t, "")
	if !s.lines.Scan() || s.lines.Text() != ":" {
		t.Errorf("heartbeat: %q", s.lines.Text())
	}
	if status, h, body := n.ask(t, "GET", path, "", "Origin: https://app.example.com"); status != 429 ||
		h.Get("Retry-After") == "" || h.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("second: %d %v %s", status, h, body)
	}
}

// TestSlowStreamLosesNothing posts far more than memory keeps to a stream that reads nothing for a while.
func TestSlowStreamLosesNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), func(c *gateway.Config) {
		c.Push.RingBytes, c.Push.TotalRingBytes = 64<<10, 64<<10
		c.Push.PageBytes, c.Push.TotalPageBytes = 32<<10, 64<<10
	})
	s, c := n.stream(t, ""), n.client()
	var want []string
	for i := range 300 {
		text := fmt.Sprint(i, strings.Repeat("x", 50_000))
		want = append(want, text)
		c.post(text)
	}
	if got := s.bodies(len(want)); !slices.Equal(got, want) {
		t.Error("what came is not what was posted")
	}
}

// TestSubscriptionStart checks options.from of a socket's subscription.
func TestSubscriptionStart(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	producer := n.client()
	ids := producer.post("a", "b", "c")
	for _, test := range []struct {
		from, marker string
		want         []string
	}{
		{"now", ids[2], nil}, {"beginning", "beginning", []string{"a", "b", "c"}}, {ids[1], ids[1], []string{"c"}},
	} {
		c := n.client()
		status, reply := c.doCompact("subscription_create", map[string]any{"options": map[string]any{"from": test.from}})
		if status != 201 || reply.(map[string]any)["marker"] != test.marker {
			t.Errorf("from %s: %d %v", test.from, status, reply)
		}
		wantPushes(t, c.awaitPushes(len(test.want)), test.want...)
		defer func() { wantPushes(t, c.awaitPushes(len(test.want)+1), append(test.want, "d")...) }()
	}
	producer.post("d")
	for _, from := range []any{"later", 5, "1-99999999"} {
		if status, reply := n.client().doCompact("subscription_create", map[string]any{"options": map[string]any{"from": from}}); status != 400 {
			t.Errorf("from %v: %d %v", from, status, reply)
		}
	}
	status, reply := n.client().doCompact("subscription_create",
		map[string]any{"subscriber": "http://example.com/", "options": map[string]any{"from": "beginning"}})
	if status != 400 || !strings.Contains(fmt.Sprint(reply), "now") {
		t.Errorf("webhook: %d %v", status, reply)
	}
}
