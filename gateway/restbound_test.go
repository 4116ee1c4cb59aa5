package gateway

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// TestConfirmationPageIsBounded: one link, opened by very many at a time, takes little of the database.
func TestConfirmationPageIsBounded(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.Links.SigningKey, c.Links.PublicURL = "0123456789abcdef", "http://gateway.example"
	})
	sub := &protocol.Subscription{ID: uuid.New(), Queue: protocol.QueueKey{Project: "p", Name: "q"}, TTL: 3600}
	link := NewLinks(g.cfg.Links).UnsubscribeLink(sub)[len("http://gateway.example"):]
	at := func(address string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", link, nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, r)
		return w
	}
	r := httptest.NewRequest("GET", link, nil)
	r.RemoteAddr = "192.0.2.1:1"
	var closed []func()
	for range openedPages {
		closed = append(closed, g.rest.openPage(t.Context(), r))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if g.rest.openPage(ended, r) != nil {
		t.Errorf("more than %d use the database", openedPages)
	}
	count := func(n int) {
		g.rest.mu.Lock()
		defer g.rest.mu.Unlock()
		g.rest.clients[clientAddress(r)].pages += n
	}
	closed[0]() // so that there is a turn
	closed = closed[1:]
	count(maxPagesPerAddress - len(closed))
	if f := g.rest.openPage(t.Context(), r); f != nil {
		t.Errorf("more than %d of an address", maxPagesPerAddress)
		f()
	}
	if w := at("192.0.2.1:3"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one too many of an address: %d", w.Code)
	}
	count(len(closed) - maxPagesPerAddress)
	for _, f := range closed {
		f()
	}
	if n := len(g.rest.clients); n != 0 || g.rest.pages != 0 {
		t.Errorf("%d addresses and %d pages are left", n, g.rest.pages)
	}
}

// TestBodiesShareTheirAllowance: bodies that do not come to an end hold a quarter of the budget in all, not each as much as
// a session may.
func TestBodiesShareTheirAllowance(t *testing.T) {
	t.Parallel()
	g := serveTest(t, nil)
	if got := g.bodyAllowance(); got != g.cfg.SessionAllowance {
		t.Errorf("one body may hold %d bytes, want %d", got, g.cfg.SessionAllowance)
	}
	const bodies = 8000
	g.rest.bodies.Add(bodies)
	if got := g.bodyAllowance(); int64(got) > g.cfg.MemoryBudget/4/bodies {
		t.Errorf("each of %d bodies may hold %d bytes", bodies, got)
	}
	g.rest.bodies.Add(-bodies)
}
