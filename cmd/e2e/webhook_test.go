package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// webhookFlags let webhooks be on this machine, and make retries quick.
var webhookFlags = []string{
	"--webhook-allow=127.0.0.0/8", "--webhook-timeout=1s", "--delivery-lease=3s", "--delivery-breaker-pause=200ms",
}

// hookRequest is a request that a webhook got.
type hookRequest struct {
	target string
	header http.Header
	body   string
}

// hook is a webhook's HTTP server.
type hook struct {
	t       *testing.T
	address string
	// answer says how a request is answered; nil: with 200. It may take its time.
	answer func(w http.ResponseWriter, r *http.Request, body string)

	mu       sync.Mutex
	requests []hookRequest
	server   *http.Server
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{t: t, address: "127.0.0.1:0"}
	h.listen()
	t.Cleanup(h.hangUp)
	return h
}

// listen serves, at the same address if it did before.
func (h *hook) listen() {
	h.t.Helper()
	ln, err := net.Listen("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = ln.Addr().String()
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: patience}
	go func() { _ = h.server.Serve(ln) }() // until hangUp
}

// hangUp is the end of the server: whoever connects is refused.
func (h *hook) hangUp() { _ = h.server.Close() }

func (h *hook) url(path string) string { return "http://" + h.address + path }

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if h.answer != nil {
		h.answer(w, r, string(body))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, hookRequest{r.URL.RequestURI(), r.Header, string(body)})
}

// got are the requests so far, those to target if that is not "".
func (h *hook) got(target string) (list []hookRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if target == "" || r.target == target {
			list = append(list, r)
		}
	}
	return list
}

// await waits for n requests to target.
func (h *hook) await(target string, n int) []hookRequest {
	h.t.Helper()
	var list []hookRequest
	eventually(h.t, func() error {
		if list = h.got(target); len(list) < n {
			return fmt.Errorf("%d of %d requests to %s", len(list), n, target)
		}
		return nil
	})
	return list
}

// subscribeHook makes a subscription and returns its path.
func (c *restClient) subscribeHook(queue, subscriber string, options map[string]any) string {
	c.t.Helper()
	var made struct {
		ID string `json:"subscription_id"`
	}
	path := "/v2/queues/" + queue + "/subscriptions"
	c.do(201, "POST", path, map[string]any{"subscriber": subscriber, "ttl": 3600, "options": options}, &made)
	return path + "/" + made.ID
}

// TestWebhookRecord: what subscribers are sent, as recorded.
func TestWebhookRecord(t *testing.T) {
	t.Parallel()
	c := sharedGateway(t, "webhooks", webhookFlags...).rest(t)
	h := newHook(t)
	first := c.subscribeHook("hq", h.url("/hook?x=1"), map[string]any{"post_headers": map[string]any{"X-Mine": "yes"}})
	c.subscribeHook("hq", h.url("/hook?x=12"), map[string]any{"post_data": `{"wrapped": "$zaqar_message$"}`})
	c.do(201, "POST", "/v2/queues/hq/messages", map[string]any{"messages": []any{
		map[string]any{"body": map[string]any{"n": 1}, "ttl": 300}, map[string]any{"body": "second"},
	}}, nil)
	for target, want := range map[string][]string{
		"/hook?x=1": {
			`{"ttl": 300, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": "hq"}`,
			`{"ttl": 3600, "body": "second", "Message_Type": "Notification", "queue_name": "hq"}`,
		},
		"/hook?x=12": {
			`{"wrapped": {"ttl": 300, "body": {"n": 1}, "Message_Type": "Notification", "queue_name": "hq"}}`,
			`{"wrapped": {"ttl": 3600, "body": "second", "Message_Type": "Notification", "queue_name": "hq"}}`,
		},
	} {
		got := h.await(target, len(want))
		if len(got) != len(want) {
			t.Errorf("%s was sent %d requests, want %d", target, len(got), len(want))
		}
		for i := range want {
			if !sameJSON(t, got[i].body, want[i]) {
				t.Errorf("%s was sent %s, want %s", target, got[i].body, want[i])
			}
			if kind := got[i].header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("%s was sent the content type %q", target, kind)
			}
			if mine := got[i].header.Get("X-Mine"); (mine == "yes") != (target == "/hook?x=1") {
				t.Errorf("%s was sent X-Mine %q", target, mine)
			}
			if got[i].header.Get("Webhook-Signature") == "" {
				t.Errorf("%s was sent no signature", target)
			}
		}
	}
	for _, r := range h.got("/hook?x=1") {
		c.checkSignature(first, r)
	}
}

// checkSignature holds a request to the secret of its subscription, as Standard Webhooks says.
func (c *restClient) checkSignature(subscription string, r hookRequest) {
	c.t.Helper()
	var answer struct{ Secrets []string }
	c.do(200, "GET", subscription+"/secret", nil, &answer)
	if len(answer.Secrets) != 1 {
		c.t.Fatalf("the secrets are %q", answer.Secrets)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(answer.Secrets[0], "whsec_"))
	if err != nil {
		c.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", r.header.Get("Webhook-Id"), r.header.Get("Webhook-Timestamp"), r.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.header.Get("Webhook-Signature") != want {
		c.t.Errorf("the signature is %q, want %q", r.header.Get("Webhook-Signature"), want)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Errorf("%v in %s and %s", err, a, b)
	}
	return reflect.DeepEqual(x, y)
}

// TestWebhookSurvives: the endpoint fails in every way there is and the gateway is killed in between. Nothing is lost, and
// what comes more than once comes in order all the same.
func TestWebhookSurvives(t *testing.T) {
	t.Parallel()
	g := own(t, webhookFlags...)
	c := g.rest(t)
	h := newHook(t)
	faults := newFaults()
	h.answer = faults.answer
	retry := map[string]any{"retries_with_no_delay": 3, "minimum_delay_retries": 1000, "minimum_delay": 1,
		"maximum_delay": 11, "maximum_delay_retries": 3, "retry_backoff_function": "linear"}
	c.subscribeHook("q", h.url("/hook"), map[string]any{"_retry_policy": retry})
	const n = 36
	post := func(c *restClient, from, to int) {
		for i := from; i < to; i++ {
			c.do(201, "POST", "/v2/queues/q/messages", map[string]any{"messages": []any{map[string]any{"body": i, "ttl": 3600}}}, nil)
		}
	}
	post(c, 0, n/3)
	h.await("", 1)
	g.kill()
	g = g.again(t)
	c.base = g.http()
	post(c, n/3, 2*n/3)
	h.hangUp() // the endpoint is down for a while
	post(c, 2*n/3, n)
	h.listen()
	eventually(t, func() error {
		if seen := faults.accepted(); len(seen) < n {
			return fmt.Errorf("%d of %d messages were taken", len(seen), n)
		}
		return nil
	})
	for i, body := range faults.accepted() {
		if body != i {
			t.Fatalf("message %d came as number %d", body, i)
		}
	}
}

// faults answer every third request badly, each time in another way, and note the bodies that were taken, each once.
type faults struct {
	mu    sync.Mutex
	count int
	order []int
	known map[int]bool
}

func newFaults() *faults { return &faults{known: map[int]bool{}} }

func (f *faults) accepted() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.order[:len(f.order):len(f.order)]
}

func (f *faults) answer(w http.ResponseWriter, r *http.Request, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	switch f.count % 12 {
	case 3:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case 6:
		f.mu.Unlock()
		<-r.Context().Done() // hangs until the gateway gives up
		f.mu.Lock()
		return
	case 9:
		panic(http.ErrAbortHandler) // cuts the connection
	case 0:
		w.Header().Set("Location", "http://169.254.169.254/latest/meta-data")
		w.WriteHeader(http.StatusTemporaryRedirect) // to the inside
		return
	}
	var push struct{ Body int }
	if json.Unmarshal([]byte(text), &push) == nil && !f.known[push.Body] {
		f.known[push.Body] = true
		f.order = append(f.order, push.Body)
	}
}

// TestWebhookDead: after the last retry a message is a dead delivery, which is listed, can be sent again, and delays what
// comes after it no longer.
func TestWebhookDead(t *testing.T) {
	t.Parallel()
	c := sharedGateway(t, "webhooks", webhookFlags...).rest(t)
	h := newHook(t)
	var mu sync.Mutex
	refuse := true
	h.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		mu.Lock()
		defer mu.Unlock()
		if refuse && strings.Contains(body, "poison") {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	path := c.subscribeHook("q", h.url("/hook"), map[string]any{"_retry_policy": oneTry})
	c.do(201, "POST", "/v2/queues/q/messages", map[string]any{"messages": []any{
		map[string]any{"body": "poison", "ttl": 300}, map[string]any{"body": "bread", "ttl": 300},
	}}, nil)
	eventually(t, func() error {
		for _, r := range h.got("") {
			if strings.Contains(r.body, "bread") {
				return nil
			}
		}
		return errors.New("what follows a dead delivery does not come")
	})
	if dead := c.awaitDead(path, 1); dead[0].Body != "poison" {
		t.Fatalf("dead are %+v", dead)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	before := len(h.got(""))
	c.do(204, "POST", path+"/dead_deliveries/resend", map[string]any{}, nil)
	if again := h.await("", before+1); !strings.Contains(again[before].body, "poison") {
		t.Errorf("sent again: %s", again[before].body)
	}
	c.awaitDead(path, 0)
}

// oneTry is the shortest policy that is allowed: what fails is dead after some seconds.
var oneTry = map[string]any{"retries_with_no_delay": 0, "minimum_delay_retries": 0, "minimum_delay": 0,
	"maximum_delay": 10, "maximum_delay_retries": 0, "retry_backoff_function": "linear"}

type deadDelivery struct{ Body any }

// awaitDead waits until the subscription at path has n dead deliveries.
func (c *restClient) awaitDead(path string, n int) []deadDelivery {
	c.t.Helper()
	var list struct {
		Dead []deadDelivery `json:"dead_deliveries"`
	}
	eventually(c.t, func() error {
		if c.do(200, "GET", path+"/dead_deliveries", nil, &list); len(list.Dead) != n {
			return fmt.Errorf("%s has the dead deliveries %+v, want %d", path, list.Dead, n)
		}
		return nil
	})
	return list.Dead
}

// TestWebhooksAreGuarded: without being allowed, no webhook on this machine is sent anything, by whatever name.
func TestWebhooksAreGuarded(t *testing.T) {
	t.Parallel()
	c := defaults(t).rest(t)
	h := newHook(t)
	_, port, err := net.SplitHostPort(h.address)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"} {
		body := map[string]any{"subscriber": "http://" + host + ":" + port + "/", "options": map[string]any{"_retry_policy": oneTry}}
		var made struct {
			ID string `json:"subscription_id"`
		}
		answer, err := c.send(within(t), "POST", "/v2/queues/q/subscriptions", body)
		switch {
		case err != nil || answer.status != 201 && answer.status != 400:
			t.Errorf("subscriber %s: %+v, %v", host, answer, err)
		case answer.status == 201:
			if err := json.Unmarshal(answer.body, &made); err != nil {
				t.Error(err)
			}
			paths = append(paths, "/v2/queues/q/subscriptions/"+made.ID)
		}
	}
	if len(paths) == 0 {
		t.Fatal("there is no subscription")
	}
	c.post("q", "secret")
	for _, path := range paths {
		c.awaitDead(path, 1)
	}
	if got := h.got(""); len(got) > 0 {
		t.Errorf("a webhook on this machine was sent %+v", got)
	}
}
