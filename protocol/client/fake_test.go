package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/nusku-messaging/nusku/protocol/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is a frame that the fake gateway received.
type request struct {
	ID      json.RawMessage   `json:"id"`
	Action  string            `json:"action"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

// session is one connection to the fake gateway.
type session struct {
	t       testing.TB
	ws      *websocket.Conn
	number  int // 1 for the first connection
	upgrade *http.Request
}

// reply answers r with status and a body in JSON.
func (s *session) reply(r request, status int, body string) {
	s.send(fmt.Sprintf(`{"id":%s,"action":%q,"headers":{"status":%d},"body":%s}`, r.ID, r.Action, status, body))
}

// send writes a text frame; a connection that is gone is not the session's concern.
func (s *session) send(frame string) {
	_ = s.ws.Write(context.Background(), websocket.MessageText, []byte(frame))
}

// receive reads the next request; false when the connection has ended.
func (s *session) receive() (r request, ok bool) {
	_, payload, err := s.ws.Read(context.Background())
	if err != nil {
		return r, false
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		s.t.Errorf("client sent %s: %v", payload, err)
		return r, false
	}
	return r, true
}

// serve starts a fake gateway. serve is called for each connection, which ends when it returns.
func serve(t testing.TB, serve func(*session)) (url string) {
	var sessions sync.WaitGroup
	var mu sync.Mutex
	number := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sessions.Add(1)
		defer sessions.Done()
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{client.Subprotocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(1 << 20)
		mu.Lock()
		number++
		n := number
		mu.Unlock()
		serve(&session{t: t, ws: ws, number: n, upgrade: r})
	}))
	t.Cleanup(func() {
		server.Close()
		sessions.Wait()
	})
	return server.URL
}

// answer is a session that answers every request by f.
func answer(f func(r request) (status int, body string)) func(*session) {
	return func(s *session) {
		for {
			r, ok := s.receive()
			if !ok {
				return
			}
			status, body := f(r)
			s.reply(r, status, body)
		}
	}
}

// dial connects to url with a client that is closed at the test's end.
func dial(t testing.TB, url string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// soon is a schedule that waits hardly at all.
func soon() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }

// within is a context that fails the test's waits in time.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until what holds.
func eventually(t testing.TB, what func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	for !what() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never came about")
		}
	}
}
