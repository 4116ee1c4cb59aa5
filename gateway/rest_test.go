package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// Queue and QueueStats answer as for queues without anything in them; the queue "missing" does not exist.
func (b *sessionBackend) Queue(_ context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	if key.Name == "missing" {
		return nil, protocol.ErrNoQueue
	}
	return &protocol.Queue{QueueKey: key, Metadata: []byte(`{"colour": "red"}`)}, nil
}

func (b *sessionBackend) QueueStats(context.Context, protocol.QueueKey) (protocol.QueueStats, error) {
	return protocol.QueueStats{}, protocol.ErrNoQueue
}

const testClient = "11111111-1111-1111-1111-111111111111"

// restAnswer is what a request got.
type restAnswer struct {
	status int
	header http.Header
	body   string
}

func (a restAnswer) String() string { return fmt.Sprintf("%d %v %s", a.status, a.header, a.body) }

// title is the title of an error's body.
func (a restAnswer) title() string {
	var e struct{ Title string }
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Title
}

// ask sends a request with the headers that all need; others, "Name: value", replace these or, without a value, take
// them away.
func (g *testGateway) ask(t testing.TB, method, path, body string, headers ...string) restAnswer {
	t.Helper()
	answer, err := g.tryAsk(method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (g *testGateway) tryAsk(method, path, body string, headers ...string) (restAnswer, error) {
	// The test's own deadline ends a request that is never answered.
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+g.addr+path, strings.NewReader(body))
	if err != nil {
		return restAnswer{}, err
	}
	r.Header = http.Header{"Client-Id": {testClient}, "X-Project-Id": {"p"}}
	for _, header := range headers {
		name, value, given := strings.Cut(header, ": ")
		if given {
			r.Header.Set(name, value)
		} else {
			r.Header.Del(name)
		}
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return restAnswer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return restAnswer{resp.StatusCode, resp.Header, string(text)}, err
}

func TestRouteTable(t *testing.T) {
	t.Parallel()
	for _, row := range Routes() {
		path := row.Pattern
		var want []string
		for part := range strings.SplitSeq(row.Pattern, "/") {
			if strings.HasPrefix(part, "{") {
				path = strings.Replace(path, part, "a%2Fb", 1)
				want = append(want, "a/b")
			}
		}
		at, values := resources.find(path)
		if at == nil || !slices.Equal(values, want) {
			t.Errorf("%s: %v, values %v", path, at, values)
			continue
		}
		query := url.Values{}
		if row.Param != "" {
			query.Set(row.Param, "1")
		}
		method := row.Method
		if found := at.row(method, query); found == nil || found.Action != row.Action || found.Param != row.Param {
			t.Errorf("%s %s leads to %+v", method, path, found)
		}
		if a := protocol.ActionByName(row.Action); row.Action != "" && handlersByAction[a] == nil {
			t.Errorf("%s %s: nothing handles %q", method, path, row.Action)
		}
		if row.Status == 0 {
			t.Errorf("%s %s: no status", method, path)
		}
	}
	for _, path := range []string{"", "v2", "/v2", "/v2/queues/", "/v2/queues//stats", "/v2/nope", "/v2/queues/q/x", "//", "/v2/queues/%zz"} {
		if at, _ := resources.find(path); at != nil {
			t.Errorf("%q leads somewhere", path)
		}
	}
}

// TestEveryActionHasARoute holds the two transports together: what a frame may ask for, a request may, too.
func TestEveryActionHasARoute(t *testing.T) {
	t.Parallel()
	routed := map[string]bool{"authenticate": true} // requests carry their credentials themselves
	for _, row := range Routes() {
		routed[row.Action] = true
	}
	for _, a := range protocol.Actions() {
		if !routed[a.Name] {
			t.Errorf("%s has no route", a.Name)
		}
	}
}

func TestRequestChecksComeInOrder(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	const form, noClient, noProject = "Content-Type: application/x-www-form-urlencoded", "Client-ID", "X-Project-ID"
	for _, tt := range []struct {
		method, path string
		headers      []string
		status       int
		title        string
	}{
		{"GET", "/v2", []string{noClient}, 404, "404 Not Found"},
		{"GET", "/v2/nope", []string{noClient}, 404, "404 Not Found"},
		{"GET", "/v1.1/queues", nil, 404, "404 Not Found"},
		{"POST", "/v2/queues/q", []string{form, "Accept: text/plain", noClient, noProject}, 400, "Invalid Content-Type"},
		{"POST", "/v2/queues/q", []string{"Accept: text/plain", noClient, noProject}, 406, ""},
		{"POST", "/v2/queues/q", []string{noClient, noProject}, 400, "Missing header value"},
		{"POST", "/v2/queues/q", []string{"Client-ID: textid", noProject}, 400, "Wrong UUID value"},
		{"POST", "/v2/queues/q", []string{noProject}, 400, "Project-Id Missing"},
		{"POST", "/v2/queues/q", []string{"X-Project-ID: "}, 400, "Empty project header not allowed"},
		{"POST", "/v2/queues/q", nil, 405, "405 Method Not Allowed"},
		{"GET", "/v2/pools", []string{noClient}, 400, "Missing header value"},
		{"GET", "/v2/pools", nil, 403, "Not authorized"},
		{"GET", "/v2/health", []string{"X-ROLES: member"}, 403, "Not authorized"},
		{"PATCH", "/v2/queues/q", nil, 415, "Accepted media type for PATCH: {'Accept-Patch': '" + patchType + "'}."},
		{"PUT", "/v2/queues/m@rs", nil, 400, "Invalid queue identification"},
		{"GET", "/v2/queues/q/messages", []string{"URL-Signature: 12"}, 404, "404 Not Found"},
		{"PUT", "/", nil, 405, "405 Method Not Allowed"},
	} {
		a := g.ask(t, tt.method, tt.path, `{}`, tt.headers...)
		if a.status != tt.status || a.title() != tt.title || a.header.Get("Vary") != "Accept" {
			t.Errorf("%s %s %v: %v, want %d %q", tt.method, tt.path, tt.headers, a, tt.status, tt.title)
		}
		if id := a.header.Get(requestIDHeader); len(id) != len("req-")+36 {
			t.Errorf("%s %s: request id %q", tt.method, tt.path, id)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	if a := g.ask(t, "POST", "/v2/queues/q", "{}"); a.header.Get("Allow") != "DELETE, GET, PATCH, PUT, OPTIONS" {
		t.Errorf("not allowed: %v", a)
	}
	if a := g.ask(t, "OPTIONS", "/v2/ping", "", "Client-ID", "X-Project-ID"); a.status != 200 || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("options: %v", a)
	}
	if a := g.ask(t, "HEAD", "/v2/ping", ""); a.status != 204 || a.body != "" {
		t.Errorf("ping: %v", a)
	}
	get, head := g.ask(t, "GET", "/v2/queues/q", ""), g.ask(t, "HEAD", "/v2/queues/q", "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
		t.Errorf("head: %v, get: %v", head, get)
	}
}

func TestRoot(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	g := serveTest(t, func(c *Config) { c.Fallback = page })
	for _, tt := range []struct{ path, accept, want string }{
		{"/", "text/html,application/xhtml+xml,*/*;q=0.8", "page /"},
		{"/docs/", "application/json", "page /docs/"},
		{"/", "application/json", `{"versions":[{"id":"1",`},
		{"/", "*/*", `{"versions":[{"id":"1",`},
	} {
		if a := g.ask(t, "GET", tt.path, "", "Accept: "+tt.accept, "Client-ID", "X-Project-ID"); !strings.HasPrefix(a.body, tt.want) {
			t.Errorf("%s for %s: %v", tt.path, tt.accept, a)
		}
	}
	if a := g.ask(t, "GET", "/", ""); a.status != 300 {
		t.Errorf("versions: %v", a)
	}
}

func TestAcceptsJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": true, "*/*": true, "application/json": true, "application/*;q=0.1": true, "text/html, */*;q=0.8": true,
		"application/json;q=0, */*": false, "text/plain": false, "application/json; charset=utf-8": true, "nonsense": false,
	} {
		if got := acceptsJSON(accept); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestNextLinks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ pattern, query, want string }{
		{"/v2/queues", "detailed=True&limit=1", "?limit=1&detailed=true&marker=m"},
		{"/v2/queues", "limit=1&marker=q", "?marker=m&limit=1"},
		{"/v2/queues", "with_count=true&colour=dark+red", "?with_count=true&colour=dark+red&marker=m"},
		{"/v2/queues", "name=q%262", "?name=q%262&marker=m"},
		{"/v2/queues/{queue_name}/messages", "echo=1&limit=1&marker=nope&include_delayed=true", "?marker=m&limit=1&echo=true&include_delayed=true"},
		{"/v2/queues/{queue_name}/messages", "limit=", "?marker=m"},
		{"/v2/pools", "detailed=true", "?detailed=true&marker=m"},
		{"/v2/flavors", "detailed=true", "?marker=m&detailed=true"},
	} {
		at, _ := resources.find(tt.pattern)
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange{r: httptest.NewRequest("GET", "/path", nil), route: at.row("GET", query), query: query}
		if got := x.next("m"); got != "/path"+tt.want {
			t.Errorf("%s?%s: %s, want %s", tt.pattern, tt.query, got, tt.want)
		}
	}
}

func TestMissingQueue(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) { c.Limits.DefaultMessageTTL = 1234 })
	if a := g.ask(t, "GET", "/v2/queues/missing", ""); a.status != 200 || !strings.Contains(a.body, `"_default_message_ttl":1234`) {
		t.Errorf("get: %v", a)
	}
	if a := g.ask(t, "GET", "/v2/queues/missing/stats", ""); a.status != 200 || a.body != `{"messages":{"claimed":0,"free":0,"total":0}}` {
		t.Errorf("stats: %v", a)
	}
}

func TestEntityTags(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	a := g.ask(t, "GET", "/v2/queues/q", "")
	tag := a.header.Get("ETag")
	if len(tag) < 10 || tag[0] != '"' {
		t.Fatalf("no strong tag: %v", a)
	}
	if b := g.ask(t, "GET", "/v2/queues/q", "", `If-None-Match: "other", `+tag); b.status != 304 || b.body != "" || b.header.Get("ETag") != tag {
		t.Errorf("unchanged: %v", b)
	}
	if b := g.ask(t, "GET", "/v2/queues/q", "", `If-None-Match: "other"`); b.status != 200 {
		t.Errorf("changed: %v", b)
	}
	c := &call{gw: g.Gateway, http: &exchange{r: httptest.NewRequest("PATCH", "/", nil)}}
	for condition, ok := range map[string]bool{tag: true, "*": true, `"other"`: false, "W/" + tag: false} {
		c.http.r.Header.Set("If-Match", condition)
		if e := c.unexpected([]byte(`{"colour": "red"}`)); (e == nil) != ok || e != nil && e.Status != 412 {
			t.Errorf("If-Match %s: %v", condition, e)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.REST.CORSOrigins, c.REST.CORSHeaders = []string{"https://app.example.com"}, []string{"x-mine"}
	})
	const page, stranger = "Origin: https://app.example.com", "Origin: https://evil.example.com"
	a := g.ask(t, "OPTIONS", "/v2/queues/q", "", page, "Access-Control-Request-Method: PATCH", "Client-ID", "X-Project-ID")
	if a.status != 204 || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PATCH") ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Client-Id") ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-Mine") || a.header.Get("Access-Control-Max-Age") != "3600" {
		t.Errorf("preflight: %v", a)
	}
	a = g.ask(t, "GET", "/v2/queues/q", "", page)
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !slices.Contains(a.header["Vary"], "Origin") {
		t.Errorf("request: %v", a)
	}
	for _, method := range []string{"OPTIONS", "PUT"} {
		a = g.ask(t, method, "/v2/queues/q", "", stranger, "Access-Control-Request-Method: PUT")
		if a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s of a stranger's page: %v", method, a)
		}
	}
	if a = g.ask(t, "GET", "/v2/queues/q", "", "Origin: http://"+g.addr); a.status != 200 {
		t.Errorf("own page: %v", a)
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"10.1.2.3:99": "10.1.2.3/32", "[::ffff:10.1.2.3]:99": "10.1.2.3/32",
		"[2001:db8::1:2:3]:99": "2001:db8::/64", "[fe80::1%eth0]:99": "fe80::/64", "@": "invalid Prefix",
	} {
		r := &http.Request{RemoteAddr: remote}
		if got := clientAddress(r).String(); got != want {
			t.Errorf("%s: %s", remote, got)
		}
	}
}

func TestRESTConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*RESTConfig){
		"MaxRequests":           func(c *RESTConfig) { c.MaxRequests = 0 },
		"MaxRequestsPerAddress": func(c *RESTConfig) { c.MaxRequestsPerAddress = 0 },
		"BlockingPerAddress":    func(c *RESTConfig) { c.BlockingPerAddress = 0 },
		"BodyTimeout":           func(c *RESTConfig) { c.BodyTimeout = 0 },
		"CORSOrigins":           func(c *RESTConfig) { c.CORSOrigins = []string{"app.example.com"} },
		"CORSHeaders":           func(c *RESTConfig) { c.CORSHeaders = []string{"a b"} },
		"CORSMaxAge":            func(c *RESTConfig) { c.CORSMaxAge = -1 },
	} {
		cfg := DefaultConfig()
		change(&cfg.REST)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s out of range: %v", name, err)
		}
	}
}
