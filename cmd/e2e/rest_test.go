package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// http is the gateway's address for HTTP.
func (g *gateway) http() string { return "http" + strings.TrimPrefix(g.url, "ws") }

// restClient sends requests of one client in one project.
type restClient struct {
	t    *testing.T
	base string
	http *http.Client
	// header is sent with every request.
	header http.Header
}

// rest is a client in a project named after the test.
func (g *gateway) rest(t *testing.T) *restClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &restClient{t: t, base: g.http(), http: &http.Client{Transport: transport}, header: http.Header{}}
	c.header.Set("Client-ID", uuid.NewString())
	c.header.Set("X-Project-ID", t.Name())
	return c
}

// admin is the same client with the admin role.
func (c *restClient) admin() *restClient {
	a := *c
	a.header = c.header.Clone()
	a.header.Set("X-Roles", "admin")
	return &a
}

// restAnswer is a response with its body read.
type restAnswer struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request; body may be nil, a reader of what is sent as it is, or a value to send as JSON.
func (c *restClient) send(ctx context.Context, method, path string, body any) (*restAnswer, error) {
	content, err := restBody(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	request.Header = c.header.Clone()
	if content != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	answer := &restAnswer{status: response.StatusCode, header: response.Header}
	answer.body, err = io.ReadAll(response.Body)
	return answer, err
}

func restBody(body any) (io.Reader, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case io.Reader:
		return body, nil
	}
	text, err := json.Marshal(body)
	return bytes.NewReader(text), err
}

// do is send for a request that has to be answered with status. It decodes the answer into v unless that is nil.
func (c *restClient) do(status int, method, path string, body, v any) *restAnswer {
	c.t.Helper()
	answer, err := c.send(within(c.t), method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if answer.status != status {
		c.t.Fatalf("%s %s: %d, want %d: %.1000s", method, path, answer.status, status, answer.body)
	}
	if v != nil {
		if err := json.Unmarshal(answer.body, v); err != nil {
			c.t.Fatalf("%s %s: %v in %.1000s", method, path, err, answer.body)
		}
	}
	return answer
}

// eventually calls check until it returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	ctx := within(t)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal(errors.Join(ctx.Err(), err))
		}
	}
}
