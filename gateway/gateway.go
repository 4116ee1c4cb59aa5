package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// Gateway serves WebSocket sessions and REST requests. New makes one, Start starts what works in the background, Handler
// or Serve let clients in, Stop ends everything. All methods may be called concurrently.
type Gateway struct {
	cfg     Config
	backend Backend
	log     zerolog.Logger
	hub     *hub

	// memory counts the frames and replies that are held, reading the large frames that are not whole yet.
	memory, reading budget
	// admission holds back the fetches whose replies there is no memory for.
	admission admission

	clock    clock
	blockers blockers
	rest     *restBounds
	parking  *parking
	streams  *streams
	ready    readiness
	server   *http.Server

	// background are the goroutines that Start made; cancel ends them.
	background sync.WaitGroup
	cancel     context.CancelFunc
	// running counts the sessions' goroutines.
	running sync.WaitGroup
	// draining is set when the gateway takes no more sessions.
	draining atomic.Bool
	// seats counts the sessions and those being opened.
	seats    atomic.Int64
	stopOnce sync.Once
	stopErr  error

	mu       sync.Mutex
	started  bool
	stopped  bool
	sessions []*session
	// walk is where the keepalive goes on.
	walk int
}

// New returns a gateway over backend that is not started yet. It panics if cfg.Check finds a fault, which is for the
// caller to ask first.
func New(cfg Config, backend Backend, log zerolog.Logger) *Gateway {
	if err := cfg.Check(); err != nil {
		panic(fmt.Sprintf("gateway: bad settings: %v", err))
	}
	cfg.Links.ensureKey()
	g := &Gateway{cfg: cfg, backend: backend, log: log}
	// A quarter is for large frames that are still being read, so that half a frame of one client does not keep the
	// whole frames of others out.
	g.memory.max = cfg.MemoryBudget - cfg.MemoryBudget/4
	g.reading.max = cfg.MemoryBudget / 4
	g.blockers.gw = g
	g.admission.gw = g
	g.rest = newRESTBounds(g)
	g.clock.start()
	g.parking = newParking(g)
	g.streams = newStreams(&g.cfg.Streams)
	g.hub = newHub(cfg.Push, backend, log)
	g.server = newServer(g)
	return g
}

// Start starts the hub and the keepalive. It returns at once; a second call does nothing.
func (g *Gateway) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started || g.stopped {
		return
	}
	g.started = true
	// Background: the gateway's own lifetime belongs to no caller and ends in Stop.
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.hub.start()
	g.background.Go(func() { g.keepalive(ctx) })
	g.background.Go(func() { g.parking.run(ctx) })
}

// enter takes a session unless the gateway stops or is full.
func (g *Gateway) enter(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining.Load() || !g.started || g.stopped {
		return false
	}
	s.index = len(g.sessions)
	g.sessions = append(g.sessions, s)
	g.running.Go(s.run)
	return true
}

// leave forgets a session.
func (g *Gateway) leave(s *session) {
	g.seats.Add(-1)
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.sessions) - 1
	g.sessions[s.index] = g.sessions[last]
	g.sessions[s.index].index = s.index
	g.sessions[last] = nil
	g.sessions = g.sessions[:last]
}
