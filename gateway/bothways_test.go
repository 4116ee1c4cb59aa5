package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// bothWays is one action asked for over REST and over a WebSocket. Empty fields are not asked or not checked.
type bothWays struct {
	name string

	// request is "METHOD /path", body its body, headers those beside the usual ones.
	request string
	body    string
	headers map[string]string
	// status and response are what comes back; got are headers of the response.
	status   int
	response string
	got      map[string]string

	// frame is an action and its body; reply is what comes back as its body.
	action, frame string
	replyStatus   int
	reply         string
	// role is what the frame's sender claims to be; "" is an administrator.
	role string
}

// testClientID and testProject are who asks.
const (
	testClientID = "00000000-0000-4000-8000-000000000001"
	testProject  = "p"
)

// serveBackend serves a gateway on a backend until the test ends.
func serveBackend(t *testing.T, backend Backend) (url string) {
	t.Helper()
	g := New(DefaultConfig(), backend, zerolog.Nop())
	g.Start()
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		_ = g.Stop(t.Context()) // which has ended: what is left is cut off
		server.Close()
	})
	return server.URL
}

// check asks both ways.
func (b *bothWays) check(t *testing.T, url string) {
	t.Helper()
	if b.request != "" {
		b.checkREST(t, url)
	}
	if b.action != "" {
		b.checkFrame(t, strings.TrimPrefix(url, "http://"))
	}
}

func (b *bothWays) checkREST(t *testing.T, url string) {
	t.Helper()
	method, path, _ := strings.Cut(b.request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(b.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Client-ID", testClientID)
	r.Header.Set("X-Project-ID", testProject)
	r.Header.Set("X-Roles", "admin")
	for key, value := range b.headers {
		r.Header.Set(key, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != b.status {
		t.Errorf("%s: status %d, want %d; %s", b.request, resp.StatusCode, b.status, body)
	}
	if diff := cmp.Diff(b.response, compact(body)); diff != "" {
		t.Errorf("%s: %s", b.request, diff)
	}
	for key, want := range b.got {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s: header %s is %q, want %q", b.request, key, got, want)
		}
	}
}

// compact is JSON without white space, and anything else as it is.
func compact(body []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return string(body)
	}
	return b.String()
}

func (b *bothWays) checkFrame(t *testing.T, addr string) {
	t.Helper()
	role := b.role
	if role == "" {
		role = "admin"
	}
	c := openRaw(t, addr, "Client-ID: "+testClientID, "X-Project-ID: "+testProject, "X-Roles: "+role)
	c.sendText(`{"id":1,"action":"` + b.action + `","body":` + b.frame + `}`)
	var reply struct {
		Headers struct{ Status int }
		Body    json.RawMessage
	}
	text := c.receive()
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatalf("%s: %v in %s", b.action, err, text)
	}
	if reply.Headers.Status != b.replyStatus {
		t.Errorf("%s %s: status %d, want %d; %s", b.action, b.frame, reply.Headers.Status, b.replyStatus, text)
	}
	if diff := cmp.Diff(b.reply, compact(reply.Body)); diff != "" {
		t.Errorf("%s %s: %s", b.action, b.frame, diff)
	}
}

// checkAll asks for each of a table's actions in its order.
func checkAll(t *testing.T, backend Backend, table []bothWays) {
	t.Helper()
	url := serveBackend(t, backend)
	for i := range table {
		t.Run(table[i].name, func(t *testing.T) { table[i].check(t, url) })
	}
}
