package deliver

import (
	"container/list"
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/nusku-messaging/nusku/protocol"
)

// lane is where an endpoint's requests run: each lane has its share of slots and memory, so that one never waits for
// another.
type lane int

const (
	laneWell  lane = iota // took its last requests, and quickly
	laneFresh             // nothing is known yet
	laneSlow              // fails, or takes long
	lanes
)

// laneShare is each lane's share of all slots and all memory, in quarters.
var laneShare = [lanes]int{laneWell: 2, laneFresh: 1, laneSlow: 1}

// slowAfterBad is how many bad results in a row bring an endpoint that was well into the slow lane.
const slowAfterBad = 2

// Endpoints divides the requests of all engines of a process over the endpoints. Its methods are safe for concurrent use.
type Endpoints struct {
	cfg    Config
	sinks  map[string]Sink
	log    zerolog.Logger
	memory [lanes]*budget
	// large is for requests that are made larger than the message that they carry.
	large [lanes]*budget
	opens atomic.Int64

	mu      sync.Mutex
	byKey   map[endpointKey]*endpoint
	hosts   map[string]*host
	ready   [lanes]lineup
	running [lanes]int
	closed  bool
}

// endpointKey tells endpoints apart. Each project has its own of the same name: what one sends there, and how that goes,
// is not to decide how long another waits.
type endpointKey struct{ project, name string }

// endpoint is what the deliveries to a number of subscribers of a project depend on. Its fields are guarded by
// Endpoints.mu.
type endpoint struct {
	endpointKey
	host    *host
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	lane    lane
	bad     int // bad results in a row
	users   int // turns that were made for it
	running int
	waiting list.List     // of *turn
	ready   *list.Element // in Endpoints.ready[lane]; nil if it is not there
	held    *list.Element // in host.waiting; nil if it is not there
	timer   *time.Timer   // looks again when the breaker's pause is over; nil if none runs
}

// turn is a stream's place in its endpoint's line.
type turn struct {
	ep    *endpoint
	owner *Engine
	sink  Sink
	start func(*slot) // starts the run; must not block
	waits *list.Element
}

// slot is the right to send to an endpoint, one request at a time.
type slot struct {
	p    *Endpoints
	ep   *endpoint
	lane lane
}

// NewEndpoints returns the endpoints of a process. sinks are by URI scheme; they are used until Close.
func NewEndpoints(cfg Config, sinks map[string]Sink, log zerolog.Logger) *Endpoints {
	p := &Endpoints{
		cfg: cfg, sinks: sinks, log: log, byKey: make(map[endpointKey]*endpoint), hosts: make(map[string]*host),
	}
	for l := range lanes {
		p.ready[l] = newLineup(p.slots(l))
		p.memory[l] = newBudget(cfg.TotalPageBytes * laneShare[l] / 4)
		p.large[l] = newBudget(cfg.TotalPageBytes * laneShare[l] / 4)
	}
	return p
}

// Close ends the timers. All engines must have been stopped.
func (p *Endpoints) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, ep := range p.byKey {
		ep.stopTimer()
	}
}

// enter makes a turn for the deliveries to a subscriber of a project. It must be left again.
func (p *Endpoints) enter(owner *Engine, project, subscriber string, start func(*slot)) *turn {
	sink, name := p.route(subscriber)
	key := endpointKey{project, name}
	p.mu.Lock()
	defer p.mu.Unlock()
	ep := p.byKey[key]
	if ep == nil {
		ep = p.newEndpoint(key)
		p.byKey[key] = ep
	}
	ep.users++
	return &turn{ep: ep, owner: owner, sink: sink, start: start}
}

// route finds the sink for a subscriber, and the name of the endpoint.
func (p *Endpoints) route(subscriber string) (Sink, string) {
	scheme := "?"
	if u, err := url.Parse(subscriber); err == nil {
		scheme = u.Scheme
	}
	sink := p.sinks[scheme]
	if sink == nil {
		return refusal("this gateway does not deliver to subscribers of this kind"), "(no sink) " + scheme
	}
	name, err := sink.Endpoint(subscriber)
	if err != nil {
		return refusal("the subscriber's address cannot be used"), "(bad address) " + scheme
	}
	return sink, name
}

// refusal is the sink of subscribers that nothing can be delivered to.
type refusal string

func (r refusal) Endpoint(string) (string, error) { return string(r), nil }

func (r refusal) Deliver(context.Context, *protocol.Durable, Notice) error {
	return &Failure{Reason: string(r)}
}

// errAbandoned is the result of a request that was cut for reasons of ours.
var errAbandoned = errors.New("abandoned")

// newEndpoint requires mu.
func (p *Endpoints) newEndpoint(key endpointKey) *endpoint {
	h := p.hosts[key.name]
	if h == nil {
		h = new(host)
		p.hosts[key.name] = h
	}
	h.endpoints++
	ep := &endpoint{endpointKey: key, host: h, lane: laneFresh}
	ep.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        key.name,
		MaxRequests: 1,
		Timeout:     p.cfg.BreakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int64(c.ConsecutiveFailures) >= int64(p.cfg.BreakerFailures) },
		IsExcluded:  func(err error) bool { return errors.Is(err, errAbandoned) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			switch {
			case to == gobreaker.StateOpen && from == gobreaker.StateClosed:
				p.opens.Add(1)
				p.log.Warn().Str("endpoint", name).Str("project", key.project).Msg("endpoint is down; its deliveries wait")
			case to == gobreaker.StateClosed:
				p.log.Info().Str("endpoint", name).Str("project", key.project).Msg("endpoint is up again")
			}
		},
	})
	return ep
}

// leave gives up a turn, and its place in the line.
func (p *Endpoints) leave(t *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.unqueue()
	ep := t.ep
	ep.users--
	p.file(ep)
	if ep.users > 0 {
		return
	}
	ep.stopTimer()
	delete(p.byKey, ep.endpointKey)
	if ep.host.endpoints--; ep.host.endpoints == 0 {
		delete(p.hosts, ep.name)
	}
}

// queue asks for a slot: turn.start is called with it, now or later. A turn waits at most once.
func (p *Endpoints) queue(t *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.waits != nil || p.closed {
		return
	}
	t.waits = t.ep.waiting.PushBack(t)
	p.file(t.ep)
	p.dispatch()
}

// detach takes an engine's turns out of all lines: none of them starts after it has returned.
func (p *Endpoints) detach(owner *Engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ep := range p.byKey {
		for e := ep.waiting.Front(); e != nil; {
			t := e.Value.(*turn)
			e = e.Next()
			if t.owner == owner {
				t.unqueue()
			}
		}
		p.file(ep)
	}
}

func (t *turn) unqueue() {
	if t.waits != nil {
		t.ep.waiting.Remove(t.waits)
		t.waits = nil
	}
}

// slots is how many requests of a lane may be under way.
func (p *Endpoints) slots(l lane) int { return p.cfg.MaxRequests * laneShare[l] / 4 }

// dispatch gives out the slots that are free. Requires mu.
func (p *Endpoints) dispatch() {
	for l := range lanes {
		for p.running[l] < p.slots(l) {
			ep := p.ready[l].next()
			if ep == nil {
				break
			}
			if ep.host.running >= p.cfg.MaxPerEndpoint {
				p.hold(ep)
				continue
			}
			t := ep.waiting.Front().Value.(*turn)
			t.unqueue()
			ep.running++
			ep.host.running++
			p.running[l]++
			p.ready[l].count(ep.project, 1)
			p.file(ep) // at the back: endpoints take turns
			t.start(&slot{p: p, ep: ep, lane: l})
		}
	}
}

// mayStart says whether one more request to ep may begin, whatever others do. Requires mu.
func (p *Endpoints) mayStart(ep *endpoint) bool {
	if ep.waiting.Len() == 0 {
		return false
	}
	switch ep.breaker.State() {
	case gobreaker.StateOpen:
		p.lookAgain(ep)
		return false
	case gobreaker.StateHalfOpen:
		return ep.running == 0
	}
	switch {
	case ep.lane == laneFresh:
		return ep.running == 0
	case ep.host.endpoints > 1: // half of it is for others, however long its requests hang
		return ep.running < (p.cfg.MaxPerEndpoint+1)/2
	}
	return ep.running < p.cfg.MaxPerEndpoint
}

// lookAgain has the endpoint's line looked at when the breaker's pause is over. Requires mu.
func (p *Endpoints) lookAgain(ep *endpoint) {
	if ep.timer != nil || p.closed {
		return
	}
	ep.timer = time.AfterFunc(p.cfg.BreakerPause+time.Millisecond, func() { // the breaker's pause ends after its last moment
		p.mu.Lock()
		defer p.mu.Unlock()
		ep.timer = nil
		if !p.closed {
			p.file(ep)
			p.dispatch()
		}
	})
}

func (ep *endpoint) stopTimer() {
	if ep.timer != nil {
		ep.timer.Stop()
		ep.timer = nil
	}
}
