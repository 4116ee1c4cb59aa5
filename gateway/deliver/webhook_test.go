package deliver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// newTestWebhook returns a sink that may reach 127.0.0.1, or the given networks.
func newTestWebhook(t testing.TB, allow ...string) *Webhook {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Webhook.AllowNetworks = append([]string{"127.0.0.1"}, allow...)
	w, err := NewWebhook(&cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func testDurable(subscriber, options string) *protocol.Durable {
	return &protocol.Durable{Subscription: protocol.Subscription{
		Queue: protocol.QueueKey{Project: "p", Name: "hq"}, Subscriber: subscriber, Options: []byte(options), Confirmed: true,
	}}
}

func testMessage(body string) Notice {
	return messageNotice(&protocol.Message{ID: protocol.MessageID{Queue: 7, N: 26}, Seq: 26, Body: []byte(body), TTL: 300})
}

// TestWebhookRequest compares requests with those that Zaqar was seen to make.
func TestWebhookRequest(t *testing.T) {
	t.Parallel()
	packed, err := msgpack.Marshal(map[string]any{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	message := messageNotice(&protocol.Message{ID: protocol.MessageID{Queue: 7, N: 26}, Body: packed, Codec: protocol.MessagePack, TTL: 300})
	for _, c := range []struct {
		name, options string
		notice        Notice
		want          string
		header        map[string]string
	}{
		{"plain", `{}`, testMessage(`{"n": 1}`), `{"ttl": 300, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": "hq"}`, nil},
		{
			"post_headers", `{"post_headers": {"X-Mine": "yes", "host": "other", "User-Agent": "mine", "Webhook-Id": "mine"}}`, testMessage(`"second"`),
			`{"ttl": 300, "body": "second", "Message_Type": "Notification", "queue_name": "hq"}`, map[string]string{"X-Mine": "yes"},
		},
		{
			"post_data", `{"post_data": "{\"wrapped\": \"$zaqar_message$\"}"}`, testMessage(`{"n": 1}`),
			`{"wrapped": {"ttl": 300, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": "hq"}}`, nil,
		},
		{"MessagePack", `{}`, message, `{"ttl": 300, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": "hq"}`, nil},
		{
			"gap", `{"post_data": "{\"wrapped\": \"$zaqar_message$\"}"}`, gapNotice(7, &protocol.Gap{From: 2, To: 5, Reason: protocol.GapExpired}),
			`{"Message_Type": "Gap", "queue_name": "hq", "body": {"from": 2, "to": 5, "reason": "expired"}}`, map[string]string{"Webhook-Id": "gap-7-2-5"},
		},
		{"confirmation", `{}`, Notice{ID: "c", Confirmation: &Confirmation{Body: []byte(`{"a": 1}`)}}, `{"a": 1}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := newReceiver(t, nil)
			w := newTestWebhook(t)
			if err := w.Deliver(t.Context(), testDurable(server.URL+"/hook?x=1", c.options), c.notice); err != nil {
				t.Fatal(err)
			}
			got := server.awaitTaken(t, 1)[0]
			if compact(got.body) != compact(c.want) || got.path != "/hook?x=1" {
				t.Errorf("%s %s, want %s", got.path, got.body, c.want)
			}
			header := map[string]string{"Content-Type": "application/json", "User-Agent": "nusku/test", "Webhook-Id": c.notice.ID, "Idempotency-Key": ""}
			for name, value := range c.header {
				header[name] = value
			}
			for name, value := range header {
				if got.header.Get(name) != value {
					t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
				}
			}
		})
	}
}

// compact drops the blanks, which the tests' strings have nowhere else.
func compact(json string) string { return strings.ReplaceAll(json, " ", "") }

func TestWebhookSignature(t *testing.T) {
	t.Parallel()
	server := newReceiver(t, nil)
	d := testDurable(server.URL, `{"post_data": "{\"wrapped\": \"$zaqar_message$\"}"}`)
	d.Secrets = [][]byte{make([]byte, 32), make([]byte, 32)}
	for _, secret := range d.Secrets {
		_, _ = rand.Read(secret) // never fails
	}
	if err := newTestWebhook(t).Deliver(t.Context(), d, testMessage(`"é"`)); err != nil {
		t.Fatal(err)
	}
	got := server.awaitTaken(t, 1)[0]
	for i, secret := range append(d.Secrets, []byte("another")) {
		verifier, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify([]byte(got.body), got.header); (err == nil) != (i < 2) {
			t.Errorf("secret %d: %v", i, err)
		}
		if err := verifier.Verify([]byte(got.body+" "), got.header); err == nil {
			t.Errorf("secret %d: another body is verified", i)
		}
	}
}

func TestWebhookUserInfo(t *testing.T) {
	t.Parallel()
	server := newReceiver(t, nil)
	uri := strings.Replace(server.URL, "http://", "http://me:secret@", 1)
	w := newTestWebhook(t)
	for i, c := range []struct{ options, user string }{{`{}`, "me"}, {`{"post_headers": {"Authorization": "Bearer x"}}`, ""}} {
		if err := w.Deliver(t.Context(), testDurable(uri, c.options), testMessage(`1`)); err != nil {
			t.Fatal(err)
		}
		request := http.Request{Header: server.awaitTaken(t, i+1)[i].header}
		if user, _, _ := request.BasicAuth(); user != c.user {
			t.Errorf("%s: user %q, want %q", c.options, user, c.user)
		}
	}
	name, err := w.Endpoint(uri + "/path?secret=1")
	if err != nil || strings.Contains(name, "secret") {
		t.Errorf("endpoint %q, %v", name, err)
	}
	server.Close()
	err = w.Deliver(t.Context(), testDurable(uri+"/?token=hidden", `{}`), testMessage(`1`))
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error %v", err)
	}
}

func TestWebhookEndpoint(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"http://Example.COM/a?b":     "http://example.com:80",
		"HTTPS://u:p@example.com/":   "https://example.com:443",
		"https://[2001:db8::1]:8443": "https://[2001:db8::1]:8443",
		"http://":                    "", "http:///path": "", "http://a b/": "", "http://[::1": "", "": "",
	} {
		if got, err := newTestWebhook(t).Endpoint(uri); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", uri, got, err)
		}
	}
}

// redirect answers every request to lead there.
func redirect(status int, to func() string) func(int, http.ResponseWriter, *http.Request) int {
	return func(_ int, w http.ResponseWriter, _ *http.Request) int {
		w.Header().Set("Location", to())
		return status
	}
}

func TestWebhookRedirect(t *testing.T) {
	t.Parallel()
	const options = `{"post_headers": {"X-Api-Key": "secret", "Authorization": "Bearer secret", "Cookie": "a=b"}}`
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		end := newReceiver(t, nil)
		first := newReceiver(t, redirect(status, func() string { return end.URL + "/there" }))
		err := newTestWebhook(t).Deliver(t.Context(), testDurable(first.URL+"/?q=secret", options), testMessage(`1`))
		if err != nil {
			t.Fatal(err)
		}
		got := end.awaitTaken(t, 1)[0]
		if got.path != "/there" || !strings.Contains(got.body, "Notification") || got.header.Get("Webhook-Id") != "7-1a" {
			t.Errorf("%d: %s %v %s", status, got.path, got.header, got.body)
		}
		if text := fmt.Sprint(got.header); strings.Contains(text, "secret") || strings.Contains(text, "Cookie") {
			t.Errorf("%d: another origin got %s", status, text)
		}
	}
}

func TestWebhookRedirectSameOrigin(t *testing.T) {
	t.Parallel()
	server := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) int {
		if n > 1 {
			return http.StatusOK
		}
		w.Header().Set("Location", "/there")
		return http.StatusTemporaryRedirect
	})
	if err := newTestWebhook(t).Deliver(t.Context(), testDurable(server.URL, `{"post_headers": {"X-Api-Key": "secret"}}`), testMessage(`1`)); err != nil {
		t.Fatal(err)
	}
	if got := server.awaitTaken(t, 1)[0]; got.path != "/there" || got.header.Get("X-Api-Key") != "secret" || got.header.Get("Referer") != "" {
		t.Errorf("%s %v", got.path, got.header)
	}
}

// TestWebhookRefused has requests that must not reach the server that they lead to.
func TestWebhookRefused(t *testing.T) {
	t.Parallel()
	inside := newReceiver(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this machine has no 127.0.0.2")
	}
	other := &httptest.Server{Listener: listener, Config: &http.Server{Handler: inside, ReadHeaderTimeout: time.Second}}
	other.Start()
	defer other.Close()
	port := inside.Listener.Addr().(*net.TCPAddr).Port

	for _, c := range []struct {
		name, uri, reason string
		allow             bool // 127.0.0.1
	}{
		{"loopback", inside.URL, "may not be sent", false},
		{"a name that resolves to it", fmt.Sprintf("http://localhost:%d/", port), "may not be sent", false},
		{"IPv4-mapped", fmt.Sprintf("http://[::ffff:127.0.0.1]:%d/", port), "may not be sent", false},
		{"redirect to loopback", newReceiver(t, redirect(307, func() string { return other.URL })).URL, "may not be sent", true},
		{"redirect with GET", newReceiver(t, redirect(302, func() string { return inside.URL })).URL, "answered 302", true},
		{"redirect without end", newReceiver(t, redirect(308, func() string { return "/" })).URL, "more than 3", true},
		{"redirect to another scheme", newReceiver(t, redirect(307, func() string { return "ftp://127.0.0.1/" })).URL, "from http to ftp", true},
	} {
		cfg := DefaultConfig()
		if c.allow {
			cfg.Webhook.AllowNetworks = []string{"127.0.0.1/32"}
		}
		w, err := NewWebhook(&cfg, "test")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		err = w.Deliver(t.Context(), testDurable(c.uri, `{}`), testMessage(`1`))
		var f *Failure
		if !errors.As(err, &f) || !strings.Contains(f.Reason, c.reason) || strings.Contains(f.Reason, "127.0.0") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if inside.n != 0 {
		t.Errorf("%d requests came through", inside.n)
	}
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]struct {
		ok, down bool
		retry    time.Duration
	}{
		200: {ok: true}, 202: {ok: true}, 204: {ok: true},
		301: {}, 400: {}, 404: {}, 410: {}, 500: {},
		429: {retry: 7 * time.Second}, 502: {down: true}, 503: {down: true, retry: 7 * time.Second}, 504: {down: true},
	} {
		server := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) int {
			w.Header().Set("Retry-After", "7")
			return status
		})
		err := newTestWebhook(t).Deliver(t.Context(), testDurable(server.URL, `{}`), testMessage(`1`))
		if want.ok != (err == nil) {
			t.Errorf("%d: %v", status, err)
		}
		var f *Failure
		if errors.As(err, &f) && (f.Down != want.down || f.RetryAfter != want.retry || f.Final) {
			t.Errorf("%d: %+v", status, f)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "0": 0, "120": 2 * time.Minute, " 3 ": 3 * time.Second, "1.5": 0,
		"99999999999999999999": 0, "9999999999": maxDelay,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestWebhookUnreachable(t *testing.T) {
	t.Parallel()
	closed := newReceiver(t, nil)
	closed.Close()
	tls := httptest.NewTLSServer(closed)
	defer tls.Close()
	loud := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) int {
		w.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		return http.StatusOK
	})
	plain := newReceiver(t, nil)
	for _, c := range []struct{ uri, reason string }{
		{closed.URL, "connection refused"},
		{tls.URL, "TLS certificate not valid"},
		{strings.Replace(plain.URL, "http:", "https:", 1), "no TLS"},
		{"http://nobody.invalid/", "host"},
		{loud.URL, "connection lost"},
		{"http://127.0.0.1:1 /", "cannot be made"},
	} {
		err := newTestWebhook(t).Deliver(t.Context(), testDurable(c.uri, `{}`), testMessage(`1`))
		var f *Failure
		if !errors.As(err, &f) || !strings.Contains(f.Reason, c.reason) {
			t.Errorf("%s: %v, want %q", c.uri, err, c.reason)
		}
	}
}

// TestWebhookSlow has a server that never answers, and one whose body never ends.
func TestWebhookSlow(t *testing.T) {
	t.Parallel()
	hang := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) int {
		<-r.Context().Done()
		return http.StatusTeapot
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w := newTestWebhook(t)
	var f *Failure
	if err := w.Deliver(ctx, testDurable(hang.URL, `{}`), testMessage(`1`)); !errors.As(err, &f) || f.Reason != "no answer in time" || !f.Down {
		t.Errorf("no answer: %v", err)
	}
	gone := make(chan struct{})
	drip := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) int {
		defer close(gone)
		w.WriteHeader(http.StatusOK)
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
		return 0
	})
	if err := w.Deliver(t.Context(), testDurable(drip.URL, `{}`), testMessage(`1`)); err != nil {
		t.Errorf("endless body: %v", err)
	}
	<-gone // its connection was closed
}
