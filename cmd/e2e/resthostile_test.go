package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// rawHTTP is a connection whose requests a test writes byte by byte.
type rawHTTP struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func rawREST(t *testing.T, g *gateway) *rawHTTP {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(within(t), "tcp", strings.TrimPrefix(g.url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &rawHTTP{t, nc, bufio.NewReader(nc)}
}

// usual are the headers of a well-meant request.
func usual() string {
	return "Host: gateway\r\nClient-ID: " + uuid.NewString() + "\r\nX-Project-ID: hostile\r\n"
}

// write sends text as it is. That the gateway hangs up meanwhile is its right.
func (c *rawHTTP) write(text string) { _, _ = io.WriteString(c, text) }

// answer reads a response to a request of the method.
func (c *rawHTTP) answer(method string) (*restAnswer, error) {
	response, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	return &restAnswer{status: response.StatusCode, header: response.Header, body: body}, err
}

// expect reads a response, which must have one of the statuses.
func (c *rawHTTP) expect(method string, statuses ...int) *restAnswer {
	c.t.Helper()
	answer, err := c.answer(method)
	if err != nil {
		c.t.Fatal(err)
	}
	if !slices.Contains(statuses, answer.status) {
		c.t.Fatalf("answered %d, want %v: %.300s", answer.status, statuses, answer.body)
	}
	return answer
}

// checkErrorBody: what is refused by the gateway says so in JSON, in clear words.
func checkErrorBody(t *testing.T, answer *restAnswer) {
	t.Helper()
	var body struct{ Title, Description string }
	if err := json.Unmarshal(answer.body, &body); err != nil || body.Title == "" {
		t.Errorf("the error's body is %.300q (%v)", answer.body, err)
	}
	for _, leak := range []string{"goroutine", "SQLSTATE", ".go:", "panic"} {
		if strings.Contains(string(answer.body), leak) {
			t.Errorf("the error tells of our insides: %.500s", answer.body)
		}
	}
}

// TestHostileRequests: whole requests that are refused with a clear error.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	defer canary(t, g)()
	const q = "/v2/queues/hostile"
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	json := func(method, path, body string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, usual(), len(body), body)
	}
	bare := func(method, path string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\n", method, path, usual())
	}
	for name, test := range map[string]struct {
		request  string
		statuses []int
		// outside says that the HTTP server refuses it before it is a request of the API: then the body is its own.
		outside bool
	}{
		"wrong method":             {bare("POST", "/v2/queues"), []int{405}, false},
		"unknown method":           {bare("BREW", q), []int{405, 501}, false},
		"TRACE":                    {bare("TRACE", q), []int{405}, false},
		"CONNECT":                  {"CONNECT gateway:80 HTTP/1.1\r\n" + usual() + "\r\n", []int{400, 404, 405}, true},
		"a slash in a name":        {bare("PUT", "/v2/queues/a%2Fb"), []int{400}, false},
		"a NUL in a name":          {bare("PUT", "/v2/queues/a%00b"), []int{400}, false},
		"a line end in a name":     {bare("PUT", "/v2/queues/a%0d%0ab"), []int{400}, false},
		"invalid UTF-8 in a name":  {bare("PUT", "/v2/queues/a%ffb"), []int{400}, false},
		"a bad escape":             {bare("PUT", "/v2/queues/a%zz"), []int{400}, true},
		"dots for a name":          {bare("GET", "/v2/queues/%2e%2e/messages/x"), []int{400, 404}, false},
		"dots in a path":           {bare("GET", "/v2/queues/../pools"), []int{400, 403, 404}, false},
		"empty segments":           {bare("GET", "/v2//queues"), []int{404}, false},
		"an empty name":            {bare("PUT", "/v2/queues//messages"), []int{400, 404, 405}, false},
		"a trailing slash":         {bare("PUT", q+"/"), []int{404}, false},
		"too deep a path":          {bare("GET", q+strings.Repeat("/x", 1000)), []int{404}, false},
		"absolute URL":             {bare("GET", "http://other.example/v2/nope"), []int{404}, false},
		"a limit beyond int":       {bare("GET", "/v2/queues?limit=99999999999999999999"), []int{400}, false},
		"a negative limit":         {bare("GET", q+"/messages?limit=-1"), []int{400}, false},
		"two limits":               {bare("GET", q+"/messages?limit=1&limit=21"), []int{400}, false},
		"a broken query":           {bare("GET", q+"/messages?limit=%zz"), []int{400}, false},
		"a boolean of its own":     {bare("GET", q+"/messages?echo=perhaps"), []int{400}, false},
		"pop of much":              {bare("DELETE", q+"/messages?pop=1000000"), []int{400}, false},
		"many ids":                 {bare("GET", q+"/messages?ids="+strings.Repeat("a,", 1000)+"a"), []int{400}, false},
		"an id that is none":       {bare("GET", q+"/messages/%27%20OR%201=1--"), []int{404}, false},
		"a duplicate key":          {json("POST", q+"/messages", `{"messages": [{"body": 1}], "messages": []}`), []int{400}, false},
		"invalid UTF-8 in JSON":    {json("POST", q+"/messages", "{\"messages\": [{\"body\": \"\xff\"}]}"), []int{400}, false},
		"NUL in metadata":          {json("PUT", q, `{"a": "\u0000"}`), []int{201, 204, 400}, false},
		"nested too deeply":        {json("POST", q+"/messages", `{"messages": [{"body": `+deep+`}]}`), []int{400}, false},
		"two documents":            {json("POST", q+"/messages", `{"messages": [{"body": 1}]}{}`), []int{400}, false},
		"a byte order mark":        {json("POST", q+"/messages", "\ufeff{}"), []int{400}, false},
		"NaN":                      {json("POST", q+"/messages", `{"messages": [{"body": NaN}]}`), []int{400}, false},
		"a message that is null":   {json("POST", q+"/messages", `{"messages": [null]}`), []int{400}, false},
		"messages that is a text":  {json("POST", q+"/messages", `{"messages": "x"}`), []int{400}, false},
		"a huge number":            {json("POST", q+"/messages", `{"messages": [{"body": 1, "ttl": 1e400}]}`), []int{400}, false},
		"a ttl of a fraction":      {json("POST", q+"/messages", `{"messages": [{"body": 1, "ttl": 60.5}]}`), []int{400}, false},
		"an unknown resource":      {bare("GET", q+"/nope"), []int{404}, false},
		"another version":          {bare("GET", "/v3/queues"), []int{404}, true},
		"no host":                  {"GET /v2/ping HTTP/1.1\r\nClient-ID: x\r\n\r\n", []int{400}, true},
		"two hosts":                {"GET /v2/ping HTTP/1.1\r\nHost: a\r\n" + usual() + "\r\n", []int{400}, true},
		"a bad version":            {"GET /v2/ping HTTP/3.9\r\n" + usual() + "\r\n", []int{400, 505}, true},
		"no HTTP at all":           {"hello\r\n\r\n", []int{400}, true},
		"a header with a space":    {"GET /v2/ping HTTP/1.1\r\n" + usual() + "X Y: z\r\n\r\n", []int{400}, true},
		"two lengths":              {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}, true},
		"a length and chunks":      {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400}, true},
		"a coding that is unknown": {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Transfer-Encoding: gzip\r\n\r\n", []int{400, 501}, true},
		"a negative length":        {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Content-Length: -1\r\n\r\n", []int{400}, true},
		"broken chunks":            {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", []int{400}, false},
		"a header of a megabyte":   {"GET /v2/ping HTTP/1.1\r\n" + usual() + "X-Large: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []int{431}, true},
		"a target of a megabyte":   {bare("GET", q+"/messages?marker="+strings.Repeat("x", 1<<20)), []int{414, 431}, true},
		"an encoded body":          {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", []int{400, 415}, false},
		"an expectation":           {"POST " + q + "/messages HTTP/1.1\r\n" + usual() + "Expect: a-pony\r\nContent-Length: 2\r\n\r\n{}", []int{400, 417}, true},
		"role of its own making":   {"GET /v2/pools HTTP/1.1\r\n" + usual() + "X-Roles: administrator\r\n\r\n", []int{403}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rawREST(t, g)
			c.write(test.request)
			method, _, _ := strings.Cut(test.request, " ")
			answer := c.expect(method, test.statuses...)
			if !test.outside && answer.status >= 400 {
				checkErrorBody(t, answer)
			}
		})
	}
}

// TestBodiesTooLarge: a body beyond the limit is refused without being read to its end, said or not said to be so large.
func TestBodiesTooLarge(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	defer canary(t, g)()
	const target = "POST /v2/queues/hostile/messages HTTP/1.1\r\n"
	t.Run("said", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		c.write(target + usual() + "Content-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{")
		checkErrorBody(t, c.expect("POST", 400, 413))
	})
	t.Run("in chunks", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		c.write(target + usual() + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
		written := 0
		for ; written < 64<<20; written += 0x10000 {
			if _, err := io.WriteString(c, chunk); err != nil {
				break
			}
		}
		if written >= 64<<20 {
			t.Fatal("64 MiB were taken")
		}
		// The answer may be lost: the connection was cut while it was being written to.
		if answer, err := c.answer("POST"); err == nil && answer.status != 400 && answer.status != 413 {
			t.Errorf("answered %d: %.300s", answer.status, answer.body)
		}
	})
}

// TestSlowRequests: who sends a byte now and then is hung up on.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	g := sharedGateway(t, "impatient", "--header-timeout=1s", "--http-timeout=2s", "--body-timeout=2s")
	defer canary(t, g)()
	for name, begin := range map[string]string{
		"headers": "GET /v2/ping HTTP/1.1\r\nHost: gateway\r\n",
		"body":    "POST /v2/queues/slow/messages HTTP/1.1\r\n" + usual() + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
		"nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rawREST(t, g)
			c.write(begin)
			drip := time.NewTicker(200 * time.Millisecond)
			defer drip.Stop()
			over := make(chan struct{})
			go func() {
				defer close(over)
				_, _ = io.Copy(io.Discard, c.r) // ends when the gateway hangs up
			}()
			start := time.Now()
			for {
				select {
				case <-over:
					if took := time.Since(start); took > 30*time.Second {
						t.Errorf("hung up on only after %v", took)
					}
					return
				case <-drip.C:
					if begin != "" {
						c.write("x")
					}
				}
			}
		})
	}
}

// TestOldAndImpatientClients: HTTP/1.0, pipelining, and a client that asks before it sends.
func TestOldAndImpatientClients(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	t.Run("HTTP/1.0", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		c.write("GET /v2/ping HTTP/1.0\r\n" + usual() + "\r\n")
		c.expect("GET", 204)
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("the connection stays open: %v", err)
		}
	})
	t.Run("pipelining", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		var requests bytes.Buffer
		const n = 20
		for i := range n {
			body := fmt.Sprintf(`{"messages": [{"body": %d}]}`, i)
			fmt.Fprintf(&requests, "POST /v2/queues/pipe/messages HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", usual(), len(body), body)
		}
		c.write(requests.String())
		for range n {
			c.expect("POST", 201)
		}
		c.write("GET /v2/queues/pipe/messages?limit=20 HTTP/1.1\r\n" + usual() + "\r\n")
		var list struct{ Messages []struct{ Body int } }
		if err := json.Unmarshal(c.expect("GET", 200).body, &list); err != nil || len(list.Messages) != n {
			t.Fatalf("%d messages, %v", len(list.Messages), err)
		}
		for i, m := range list.Messages {
			if m.Body != i {
				t.Errorf("message %d is %d", i, m.Body)
			}
		}
	})
	t.Run("100-continue", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		const body = `{"messages": [{"body": 1}]}`
		c.write(fmt.Sprintf("POST /v2/queues/continue/messages HTTP/1.1\r\n%sContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", usual(), len(body)))
		c.expect("POST", 100)
		c.write(body)
		c.expect("POST", 201)
	})
	t.Run("100-continue, refused", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		c.write("POST /v2/queues/continue/messages HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\n")
		c.expect("POST", 400) // no Client-ID: the body is not asked for
	})
	t.Run("HEAD has no body", func(t *testing.T) {
		t.Parallel()
		c := rawREST(t, g)
		c.write("HEAD /v2/queues HTTP/1.1\r\n" + usual() + "\r\nGET /v2/ping HTTP/1.1\r\n" + usual() + "\r\n")
		c.expect("HEAD", 200)
		c.expect("GET", 204)
	})
}

// TestRefusedRequestsChangeNothing: half of what is asked is not done.
func TestRefusedRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	c := defaults(t).rest(t)
	c.do(201, "PUT", "/v2/queues/q", map[string]any{"colour": "red"}, nil)
	c.do(201, "POST", "/v2/queues/q/messages", map[string]any{"messages": []any{map[string]any{"body": 1}}}, nil)
	for name, request := range map[string]struct {
		method, path string
		body         any
		status       int
	}{
		"a post, its last message bad": {"POST", "/v2/queues/q/messages", map[string]any{"messages": []any{map[string]any{"body": 2}, map[string]any{"ttl": 60}}}, 400},
		"a post to a new queue":        {"POST", "/v2/queues/new/messages", map[string]any{"messages": []any{map[string]any{"body": 2, "ttl": 1}}}, 400},
		"a patch, its last step bad": {"PATCH", "/v2/queues/q", []any{
			map[string]any{"op": "add", "path": "/metadata/a", "value": 1}, map[string]any{"op": "remove", "path": "/metadata/nope"},
		}, 409},
		"pop and ids":   {"DELETE", "/v2/queues/q/messages?pop=1&ids=a", nil, 400},
		"a bad purge":   {"POST", "/v2/queues/q/purge", map[string]any{"resource_types": []any{"messages", "nope"}}, 400},
		"a bad claim":   {"POST", "/v2/queues/q/claims?limit=0", map[string]any{"ttl": 60, "grace": 60}, 400},
		"an odd method": {"POST", "/v2/queues/q", nil, 405},
	} {
		if request.method == "PATCH" {
			c.header.Set("Content-Type", "application/openstack-messaging-v2.0-json-patch")
		}
		t.Log(name)
		checkErrorBody(t, c.do(request.status, request.method, request.path, request.body, nil))
		c.header.Del("Content-Type")
	}
	var metadata map[string]any
	c.do(200, "GET", "/v2/queues/q", nil, &metadata)
	if metadata["colour"] != "red" || metadata["a"] != nil {
		t.Errorf("the metadata are %v", metadata)
	}
	var list struct{ Messages []struct{ Body int } }
	c.do(200, "GET", "/v2/queues/q/messages?echo=true", nil, &list)
	if len(list.Messages) != 1 || list.Messages[0].Body != 1 {
		t.Errorf("the queue has %+v", list.Messages)
	}
	var queues struct{ Queues []struct{ Name string } }
	c.do(200, "GET", "/v2/queues", nil, &queues)
	if len(queues.Queues) != 1 {
		t.Errorf("the queues are %+v", queues.Queues)
	}
}
