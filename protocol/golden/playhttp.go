package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// httpPlayer is a session of exchanges being played.
type httpPlayer struct {
	base   string
	client *http.Client
	vars   *variables
}

// poll is how long an exchange that is asked eventually rests in between.
const poll = 50 * time.Millisecond

func newHTTPPlayer(server Server) *httpPlayer {
	vars := newVariables()
	vars.values["pool-uri"], vars.values["pool-uri-shown"] = server.PoolURI, server.ShownPoolURI
	vars.values["expires"] = time.Now().UTC().Add(24 * time.Hour).Format("2006-01-02T15:04:05")
	return &httpPlayer{
		base: server.URL,
		vars: vars,
		client: &http.Client{
			Timeout:       receiveTimeout,
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (p *httpPlayer) play(t *testing.T, e *Exchange) {
	t.Helper()
	again := time.NewTicker(poll)
	defer again.Stop()
	deadline := time.Now().Add(eventually)
	for {
		err := p.exchange(e)
		if err == nil {
			return
		}
		if !e.Eventually || time.Now().After(deadline) {
			t.Fatalf("%s %.300s: %v", e.Method, e.Path, err)
		}
		<-again.C
	}
}

// exchange sends the request and compares the response.
func (p *httpPlayer) exchange(e *Exchange) error {
	request, err := p.request(e)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the body of a %d: %w", response.StatusCode, err)
	}
	return p.compare(&e.Expect, response, body)
}

// request makes what an exchange sends.
func (p *httpPlayer) request(e *Exchange) (*http.Request, error) {
	body, err := p.body(e)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(e.Method, p.base+p.vars.fillString(e.Path), body)
	if err != nil {
		return nil, err
	}
	clientID, project, contentType := "<client-A>", "<project>", "application/json"
	headers := map[string]*string{"Client-ID": &clientID, "X-Project-ID": &project}
	if body != nil {
		headers["Content-Type"] = &contentType
	}
	for name, value := range e.Headers {
		headers[name] = value
	}
	for name, value := range headers {
		if value != nil {
			request.Header.Set(name, p.vars.fillString(*value))
		}
	}
	return request, nil
}

func (p *httpPlayer) body(e *Exchange) (io.Reader, error) {
	if e.Text != nil {
		return strings.NewReader(p.vars.fillString(*e.Text)), nil
	}
	if len(e.Body) == 0 {
		return nil, nil
	}
	var value any
	if err := unmarshal(e.Body, &value); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p.vars.fill(value))
	return bytes.NewReader(text), err
}

var requestID = regexp.MustCompile(`^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// compare holds a response against what is written.
func (p *httpPlayer) compare(want *Response, got *http.Response, body []byte) error {
	if got.StatusCode != want.Status {
		return fmt.Errorf("status %d, want %d: %.2000s", got.StatusCode, want.Status, body)
	}
	if id := got.Header.Get("X-OpenStack-Request-Id"); !requestID.MatchString(id) {
		return fmt.Errorf("X-OpenStack-Request-Id is %q", id)
	}
	if err := p.compareHeaders(want, got.Header); err != nil {
		return err
	}
	if len(want.Body) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("a body where there is none: %.2000s", body)
		}
		return nil
	}
	var expected, value any
	if err := unmarshal(want.Body, &expected); err != nil {
		return err
	}
	if err := unmarshal(body, &value); err != nil {
		return err
	}
	p.vars.more = want.More
	if err := p.vars.match(expected, value, "body"); err != nil {
		return fmt.Errorf("%w\n got %s\nwant %s", err, compact(value), compact(expected))
	}
	return nil
}

// telling are the headers that are only there when they are recorded.
var telling = []string{"location", "content-location", "allow"}

func (p *httpPlayer) compareHeaders(want *Response, got http.Header) error {
	expected := map[string]string{}
	if len(want.Body) > 0 {
		expected["content-type"] = "application/json"
	}
	for name, value := range want.Headers {
		expected[name] = value
	}
	for name, value := range expected {
		if err := p.compareHeader(name, value, strings.Join(got.Values(name), ", ")); err != nil {
			return err
		}
	}
	for _, name := range telling {
		if _, ok := expected[name]; !ok && got.Get(name) != "" {
			return fmt.Errorf("header %s is %q, want none", name, got.Get(name))
		}
	}
	return nil
}

// compareHeader: of a list, the elements that are written must be there, others may be.
func (p *httpPlayer) compareHeader(name, want, got string) error {
	if name != "allow" && name != "vary" {
		return p.vars.match(want, got, "header "+name)
	}
	list := strings.Split(got, ", ")
	for element := range strings.SplitSeq(want, ", ") {
		if !slices.Contains(list, element) {
			return fmt.Errorf("header %s is %q, want %q in it", name, got, element)
		}
	}
	return nil
}
