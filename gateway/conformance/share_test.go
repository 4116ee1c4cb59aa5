package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// signingKey is the key of gateways whose signatures a test makes by itself.
const signingKey = "a key that only tests have"

func withKey(c *gateway.Config) { c.Links.SigningKey = signingKey }

// answered is the answer to an HTTP request.
type answered struct {
	status int
	header http.Header
	body   string
}

// http sends a request of project p with further headers. body is sent as JSON; nil sends none.
func (n *node) http(method, path string, headers map[string]string, body any) answered {
	n.t.Helper()
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			n.t.Fatal(err)
		}
		payload = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+n.addr+path, payload)
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Client-ID", uuid.NewString())
	r.Header.Set("X-Project-ID", "p")
	for key, value := range headers {
		r.Header.Set(key, value)
	}
	return n.roundTrip(r)
}

func (n *node) roundTrip(r *http.Request) answered {
	n.t.Helper()
	response, err := new(http.Transport).RoundTrip(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answered{response.StatusCode, response.Header, string(text)}
}

// shared is the answer of queue_share.
type shared struct {
	Paths, Methods              []string
	Project, Expires, Signature string
}

// headers are those of a request that shows the URL.
func (s shared) headers() map[string]string {
	return map[string]string{
		"URL-Signature": s.Signature, "URL-Expires": s.Expires, "URL-Methods": strings.Join(s.Methods, ","),
		"URL-Paths": strings.Join(s.Paths, ","), "X-Project-ID": s.Project,
	}
}

func (n *node) share(body map[string]any) shared {
	n.t.Helper()
	a := n.http("POST", "/v2/queues/q/share", nil, body)
	var s shared
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != 200 {
		n.t.Fatalf("share: %+v", a)
	}
	return s
}

// A shared URL is good for just what it names, over HTTP.
func TestSignedURLOverHTTP(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), withKey)
	s := n.share(map[string]any{"paths": []string{"messages"}, "methods": []string{"GET", "POST"}})
	longAgo := expiredShare(t)
	for name, test := range map[string]struct {
		method, path string
		change       func(map[string]string)
		want         int
	}{
		"as shared":         {"GET", "/v2/queues/q/messages?limit=5", nil, 200},
		"an item":           {"GET", "/v2/queues/q/messages/" + uuid.NewString(), nil, 404},
		"a post":            {"POST", "/v2/queues/q/messages", nil, 400}, // it gets as far as its missing body
		"lists in disorder": {"GET", "/v2/queues/q/messages", func(h map[string]string) { h["URL-Methods"] = "POST,GET" }, 200},

		"another method":   {"DELETE", "/v2/queues/q/messages?pop=1", nil, 404},
		"another queue":    {"GET", "/v2/queues/other/messages", nil, 404},
		"a longer name":    {"GET", "/v2/queues/q/messagesx", nil, 404},
		"another resource": {"POST", "/v2/queues/q/claims", nil, 404},
		"the queue itself": {"GET", "/v2/queues/q", nil, 404},
		"within a path":    {"GET", "/v2/queues/x%2Fv2%2Fqueues%2Fq%2Fmessages/stats", nil, 404},
		"another project":  {"GET", "/v2/queues/q/messages", func(h map[string]string) { h["X-Project-ID"] = "other" }, 404},
		"more methods":     {"DELETE", "/v2/queues/q/messages?pop=1", func(h map[string]string) { h["URL-Methods"] = "DELETE,GET,POST" }, 404},
		"more paths":       {"GET", "/v2/queues/other/messages", func(h map[string]string) { h["URL-Paths"] += ",/v2/queues/other/messages" }, 404},
		"later":            {"GET", "/v2/queues/q/messages", func(h map[string]string) { h["URL-Expires"] = "2999-01-01T00:00:00" }, 404},
		"altered":          {"GET", "/v2/queues/q/messages", func(h map[string]string) { h["URL-Signature"] = strings.Repeat("ab", 32) }, 404},
		"no signature":     {"GET", "/v2/queues/q/messages", func(h map[string]string) { h["URL-Signature"] = "x" }, 404},
		"only that":        {"GET", "/v2/queues/q/messages", func(h map[string]string) { delete(h, "URL-Paths") }, 404},
		"expired":          {"GET", "/v2/queues/q/messages", func(h map[string]string) { maps.Copy(h, longAgo.headers()) }, 404},
	} {
		headers := s.headers()
		if test.change != nil {
			test.change(headers)
		}
		a := n.http(test.method, test.path, headers, nil)
		if a.status != test.want {
			t.Errorf("%s: %+v, want %d", name, a, test.want)
		}
		if refusal := a.status == 404 && name != "an item"; refusal && !strings.Contains(a.body, `"404 Not Found"`) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// expiredShare is a URL that was good until a moment ago.
func expiredShare(t *testing.T) shared {
	t.Helper()
	s, err := auth.Sign([]byte(signingKey), auth.URL{
		Paths: []string{"/v2/queues/q/messages"}, Methods: []string{"GET"}, Project: "p", Expires: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return shared{s.Paths, s.Methods, s.Project, auth.FormatExpires(s.Expires), s.Signature}
}

// The same in frames, where the action stands for its REST resource. Zaqar's clients send the lists as arrays.
func TestSignedURLOverWebSocket(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), withKey)
	c := n.client()
	s := n.share(map[string]any{"paths": []string{"messages", "claims"}, "methods": []string{"GET", "POST"}})
	longAgo := expiredShare(t)
	for name, test := range map[string]struct {
		action string
		body   map[string]any
		change func(map[string]any)
		want   int
	}{
		"list":  {"message_list", nil, nil, 200},
		"get":   {"message_get", map[string]any{"message_id": uuid.NewString()}, nil, 404},
		"post":  {"message_post", map[string]any{"messages": []any{map[string]any{"body": 1, "ttl": 60}}}, nil, 201},
		"claim": {"claim_get", map[string]any{"claim_id": "x"}, nil, 404},
		"texts for once": {"message_list", nil, func(h map[string]any) {
			h["URL-Methods"], h["URL-Paths"] = strings.Join(s.Methods, ","), strings.Join(s.Paths, ",")
		}, 200},

		"another method":    {"message_delete_many", map[string]any{"pop": 1}, nil, 403},
		"another queue":     {"message_list", map[string]any{"queue_name": "other"}, nil, 403},
		"a topic":           {"message_list", map[string]any{"queue_name": nil, "topic_name": "q"}, nil, 403},
		"another resource":  {"subscription_create", nil, nil, 403},
		"the queue itself":  {"queue_get", nil, nil, 403},
		"no resource":       {"queue_list", nil, nil, 403},
		"another share":     {"queue_share", nil, nil, 403},
		"fault of the rest": {"message_list", map[string]any{"queue_name": "other", "limit": 1000}, nil, 403},
		"another project":   {"message_list", nil, func(h map[string]any) { h["X-Project-ID"] = "other" }, 403},
		"more methods":      {"message_delete_many", map[string]any{"pop": 1}, func(h map[string]any) { h["URL-Methods"] = []string{"DELETE", "GET", "POST"} }, 403},
		"more paths":        {"message_list", map[string]any{"queue_name": "other"}, func(h map[string]any) { h["URL-Paths"] = append(s.Paths[:2:2], "/v2/queues/other/messages") }, 403},
		"altered":           {"message_list", nil, func(h map[string]any) { h["URL-Signature"] = strings.Repeat("ab", 32) }, 403},
		"expired": {"message_list", nil, func(h map[string]any) {
			h["URL-Signature"], h["URL-Expires"], h["URL-Methods"], h["URL-Paths"] = longAgo.Signature, longAgo.Expires, longAgo.Methods, longAgo.Paths
		}, 403},
	} {
		headers := map[string]any{
			"Client-ID": c.clientID, "X-Project-ID": s.Project, "URL-Signature": s.Signature, "URL-Expires": s.Expires,
			"URL-Methods": s.Methods, "URL-Paths": s.Paths,
		}
		if test.change != nil {
			test.change(headers)
		}
		body := map[string]any{"queue_name": "q"}
		maps.Copy(body, test.body)
		maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
		status, reply := c.send(map[string]any{"action": test.action, "body": body, "headers": headers})
		if status != test.want {
			t.Errorf("%s: %d %v, want %d", name, status, reply, test.want)
		}
		if text, _ := json.Marshal(reply); status == 403 && string(text) != `{"error":"Not authentified."}` {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestShareAnswers(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), withKey)
	c := n.client()
	s := n.share(map[string]any{"paths": []string{"subscriptions", "messages"}, "methods": []string{"POST", "GET"}, "expires": "2999-01-31T14:00:00+02:00"})
	if strings.Join(s.Paths, " ") != "/v2/queues/q/messages /v2/queues/q/subscriptions" || strings.Join(s.Methods, " ") != "GET POST" ||
		s.Project != "p" || s.Expires != "2999-01-31T12:00:00" {
		t.Errorf("%+v", s)
	}
	_, reply := c.do("queue_share", map[string]any{"paths": []string{"subscriptions", "messages"}, "methods": []string{"POST", "GET"}, "expires": "2999-01-31T12:00:00"})
	if reply.(map[string]any)["signature"] != s.Signature {
		t.Errorf("a frame gets another signature: %v", reply)
	}
	if _, reply := c.do("topic_share", map[string]any{"queue_name": "q", "topic_name": "t"}); reply.(map[string]any)["paths"].([]any)[0] != "/v2/topics/t/messages" {
		t.Errorf("a topic: %v", reply)
	}
	for text, body := range map[string]map[string]any{
		"Invalid paths: {'nope'}":                    {"paths": []string{"nope"}},
		"`expires` is lower than the current time":   {"expires": "2016-01-01T00:00:00"},
		"not integer value: 3600":                    {"expires": "3600"},
		"Unable to parse date string 'wrong format'": {"expires": "wrong format"},
	} {
		a := n.http("POST", "/v2/queues/q/share", nil, body)
		if a.status != 400 || !strings.Contains(a.body, text) {
			t.Errorf("%v: %+v", body, a)
		}
		if status, reply := c.do("queue_share", body); status != 400 || !strings.Contains(reply.(map[string]any)["exception"].(string), text) {
			t.Errorf("%v: %d %v", body, status, reply)
		}
	}
	for _, body := range []map[string]any{{"dummy": "meh"}, {"methods": "GET"}, {"paths": 7}, {"expires": 3600}} {
		if a := n.http("POST", "/v2/queues/q/share", nil, body); a.status != 400 {
			t.Errorf("%v: %+v", body, a)
		}
	}
}

// Without a key of one's own a gateway makes one, and no two are alike.
func TestEveryGatewayHasAKey(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	one, two := startNode(t, url, nil), startNode(t, url, nil)
	s := one.share(map[string]any{})
	if a := one.http("GET", "/v2/queues/q/messages", s.headers(), nil); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if a := two.http("GET", "/v2/queues/q/messages", s.headers(), nil); a.status != 404 {
		t.Errorf("good on a gateway with another key: %+v", a)
	}
}
