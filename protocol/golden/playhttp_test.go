package golden

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

const anyRequestID = "req-5c3e9f12-8f2b-4a0e-9c65-0123456789ab"

// restOracle answers each request with what the exchange at hand expects.
type restOracle struct {
	mu        sync.Mutex
	exchanges []Exchange
	at        int
	known     map[string]string
}

func (o *restOracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(r)
	e := o.exchanges[o.at]
	o.at++
	w.Header().Set("X-OpenStack-Request-Id", anyRequestID)
	if len(e.Expect.Body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	for name, value := range e.Expect.Headers {
		w.Header().Set(name, o.fill(value))
	}
	w.WriteHeader(e.Expect.Status)
	_, _ = w.Write([]byte(o.fill(string(e.Expect.Body)))) // the player says what it lacks
}

// note learns the names that the player chose itself.
func (o *restOracle) note(r *http.Request) {
	if project := r.Header.Get("X-Project-ID"); project != "" && len(project) < 256 {
		o.known["project"] = project
	}
	var body struct{ Expires string }
	if json.NewDecoder(r.Body).Decode(&body) == nil && body.Expires != "" {
		o.known["expires"] = body.Expires
	}
}

func (o *restOracle) fill(text string) string {
	text = strings.NewReplacer(`"<age>"`, "0", `"<seconds>"`, "0.01", `"<any>"`, "null", "<time>", "2026-01-31T12:00:00Z").Replace(text)
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		name := strings.Trim(match, "<>")
		if _, ok := o.known[name]; !ok {
			o.known[name] = "the-" + name
			if strings.HasPrefix(name, "signature") {
				o.known[name] = strings.Repeat("0f", 32)
			}
		}
		return o.known[name]
	})
}

// TestPlayHTTP holds the player and what it plays to one another.
func TestPlayHTTP(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zaqar-rest-v2", "nusku-rest"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exchanges, err := LoadExchanges("../testdata/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			const uri = "postgres://localhost/pool"
			oracle := &restOracle{exchanges: exchanges, known: map[string]string{"pool-uri": uri, "pool-uri-shown": uri}}
			server := httptest.NewServer(oracle)
			t.Cleanup(server.Close)
			PlayHTTP(t, Server{URL: server.URL, PoolURI: uri, ShownPoolURI: uri}, exchanges)
		})
	}
}

func TestCompareResponse(t *testing.T) {
	t.Parallel()
	want := Response{
		Status:  201,
		Headers: map[string]string{"location": "/v2/queues/q/messages?ids=<message-1>,<message-2>&a=1", "vary": "Accept"},
		Body:    json.RawMessage(`{"id": "<message-1>", "seconds": "<seconds>"}`),
	}
	right := func() (int, http.Header, string) {
		header := http.Header{}
		header.Set("X-OpenStack-Request-Id", anyRequestID)
		header.Set("Content-Type", "application/json")
		header.Set("Location", "/v2/queues/q/messages?a=1&ids=m,n")
		header.Set("Vary", "Origin, Accept")
		return 201, header, `{"id": "m", "seconds": 0.5}`
	}
	for name, test := range map[string]struct {
		change func(status *int, header http.Header, body *string)
		fault  string
	}{
		"right":          {func(*int, http.Header, *string) {}, ""},
		"status":         {func(status *int, _ http.Header, _ *string) { *status = 200 }, "status 200, want 201"},
		"no request id":  {func(_ *int, h http.Header, _ *string) { h.Del("X-OpenStack-Request-Id") }, "X-OpenStack-Request-Id"},
		"content type":   {func(_ *int, h http.Header, _ *string) { h.Set("Content-Type", "text/plain") }, "content-type"},
		"other location": {func(_ *int, h http.Header, _ *string) { h.Set("Location", "/v2/queues/q/messages?ids=m,n") }, "location"},
		"one id twice":   {func(_ *int, h http.Header, _ *string) { h.Set("Location", "/v2/queues/q/messages?a=1&ids=m,m") }, "has the id of"},
		"no vary":        {func(_ *int, h http.Header, _ *string) { h.Del("Vary") }, "vary"},
		"allow unasked":  {func(_ *int, h http.Header, _ *string) { h.Set("Allow", "GET") }, "allow"},
		"other id":       {func(_ *int, _ http.Header, body *string) { *body = `{"id": "o", "seconds": 0}` }, "body.id"},
		"more":           {func(_ *int, _ http.Header, body *string) { *body = `{"id": "m", "seconds": 0, "x": 0}` }, "has the keys"},
		"no seconds":     {func(_ *int, _ http.Header, body *string) { *body = `{"id": "m", "seconds": "0"}` }, "want seconds"},
		"no body":        {func(_ *int, _ http.Header, body *string) { *body = "" }, "decode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, header, body := right()
			test.change(&status, header, &body)
			p := newHTTPPlayer(Server{})
			err := p.compare(&want, &http.Response{StatusCode: status, Header: header}, []byte(body))
			if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
	t.Run("a body where there is none", func(t *testing.T) {
		t.Parallel()
		_, header, _ := right()
		header.Del("Location")
		err := newHTTPPlayer(Server{}).compare(&Response{Status: 204}, &http.Response{StatusCode: 204, Header: header}, []byte("x"))
		if err == nil {
			t.Error("it passes")
		}
	})
}

// TestRequest: what an exchange sends besides what is written.
func TestRequest(t *testing.T) {
	t.Parallel()
	p := newHTTPPlayer(Server{URL: "http://gateway"})
	other := "text/plain"
	text := "{"
	request, err := p.request(&Exchange{
		Method: "PUT", Path: "/v2/queues/<repeat:v:3>", Text: &text,
		Headers: map[string]*string{"Client-ID": nil, "Content-Type": &other},
	})
	if err != nil {
		t.Fatal(err)
	}
	if request.URL.Path != "/v2/queues/vvv" || request.ContentLength != 1 {
		t.Errorf("sends %v with %d bytes", request.URL, request.ContentLength)
	}
	if h := request.Header; h.Get("Client-ID") != "" || h.Get("Content-Type") != other || h.Get("X-Project-ID") != p.vars.values["project"] {
		t.Errorf("sends the headers %v", h)
	}
	bare, err := p.request(&Exchange{Method: "GET", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(bare.Header.Get("Client-ID")); err != nil || bare.Header.Get("Content-Type") != "" {
		t.Errorf("sends the headers %v", bare.Header)
	}
}
