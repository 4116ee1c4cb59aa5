package gateway

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/nusku-messaging/nusku/protocol"
)

// extendedSubprotocol is the subprotocol by which a client chooses the extended dialect.
const extendedSubprotocol = "nusku.v1"

// newServer returns the HTTP server in front of the sessions. Its timeouts are for clients that take their time with a
// handshake; a session's connection is no longer under them.
func newServer(g *Gateway) *http.Server {
	return &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: g.cfg.HeaderTimeout,
		ReadTimeout:       g.cfg.HTTPTimeout,
		WriteTimeout:      g.cfg.HTTPTimeout,
		IdleTimeout:       g.cfg.HTTPTimeout,
		MaxHeaderBytes:    g.cfg.MaxHeaderBytes,
		ErrorLog:          log.New(g.log, "", 0),
	}
}

// Serve takes connections from ln until Stop, and returns nil then. It closes ln.
func (g *Gateway) Serve(ln net.Listener) error {
	err := g.server.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", ln.Addr(), err)
}

// stopServer closes the listeners and waits for the requests that run until ctx ends.
func (g *Gateway) stopServer(ctx context.Context) {
	if err := g.server.Shutdown(ctx); err != nil {
		_ = g.server.Close()
	}
}

// Handler returns the gateway's HTTP side: an upgrade on any path opens a session, /livez and /readyz answer probes, the
// paths of the route table are REST's, confirmPath is a page for subscribers, and everything else goes to Config.Fallback.
func (g *Gateway) Handler() http.Handler {
	fallback := g.cfg.Fallback
	if fallback == nil {
		fallback = http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isUpgrade(r):
			g.upgrade(w, r)
		case r.URL.Path == "/livez":
			writeText(w, http.StatusOK, "ok\n")
		case r.URL.Path == "/readyz":
			g.serveReady(w, r)
		case r.URL.Path == confirmPath:
			g.serveConfirmPage(w, r)
		case g.isREST(r):
			g.serveREST(w, r)
		default:
			fallback.ServeHTTP(w, r)
		}
	})
}

// isUpgrade says whether a request asks for a WebSocket. What is wrong with it otherwise is for Accept to say.
func isUpgrade(r *http.Request) bool {
	for _, v := range r.Header.Values("Upgrade") {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "websocket") {
				return true
			}
		}
	}
	return false
}

// upgrade opens a session. It returns as soon as that is done: the handler's goroutine, request and buffers must not
// live as long as the session.
func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request) {
	if g.draining.Load() {
		refuse(w, "Gateway is shutting down.\n")
		return
	}
	if !g.checkOrigin(w, r) {
		return
	}
	if g.seats.Add(1) > int64(g.cfg.MaxSessions) {
		g.seats.Add(-1)
		refuse(w, "Too many sessions.\n")
		return
	}
	s := newSession(g)
	s.defaults = protocol.Defaults{
		ClientID:  strings.Clone(r.Header.Get("Client-ID")),
		ProjectID: strings.Clone(r.Header.Get("X-Project-ID")),
		Roles:     strings.Clone(r.Header.Get("X-Roles")),
	}
	ws, err := websocket.Accept(&hijacker{ResponseWriter: w, sess: s}, r, s.acceptOptions())
	if err != nil {
		// Accept has answered the request.
		g.seats.Add(-1)
		g.log.Debug().Err(err).Msg("upgrade refused")
		return
	}
	s.ws = ws
	s.extended = ws.Subprotocol() != ""
	// The session counts the bytes itself and closes with a code of ours.
	ws.SetReadLimit(-1)
	if !g.enter(s) {
		g.seats.Add(-1)
		s.out.close(closeFrame(protocol.CloseGoingAway), false)
		_ = ws.CloseNow()
		s.work.Wait()
	}
}

// acceptOptions are those of a session's handshake. A client that offers only subprotocols that we do not know gets
// none.
func (s *session) acceptOptions() *websocket.AcceptOptions {
	return &websocket.AcceptOptions{
		Subprotocols:    []string{extendedSubprotocol},
		OriginPatterns:  s.gw.cfg.AllowedOrigins,
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  s.pinged,
		OnPongReceived:  s.ponged,
	}
}

// pinged answers a ping by way of the outbound buffer, in place of the library.
func (s *session) pinged(_ context.Context, payload []byte) bool {
	s.conn.controlRead()
	s.out.sendPong(payload)
	return false
}

func (s *session) ponged(context.Context, []byte) { s.conn.controlRead() }

// refuse answers 503: the client should try again.
func refuse(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	writeText(w, http.StatusServiceUnavailable, text)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Nobody is left to be told if the client is gone.
	_, _ = w.Write([]byte(text))
}

// readiness remembers what the database's ping said, so that probes cost it at most one ping per interval.
type readiness struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

// serveReady answers 200 if the gateway takes sessions and its database answers, else 503.
func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) {
	if g.draining.Load() {
		refuse(w, "stopping\n")
		return
	}
	if err := g.ping(r.Context()); err != nil {
		g.log.Warn().Err(err).Msg("not ready")
		refuse(w, "database unavailable\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

// ping asks the database whether it answers, or says what it answered a moment ago. Probes that come meanwhile wait for
// the one that asks.
func (g *Gateway) ping(ctx context.Context) error {
	r := &g.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked.IsZero() && time.Since(r.asked) < g.cfg.ReadyInterval {
		return r.err
	}
	// A probe that hangs up must not make the next one hear that the database is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.ReadyTimeout)
	defer cancel()
	r.err = g.backend.Ping(ctx)
	r.asked = time.Now()
	return r.err
}
