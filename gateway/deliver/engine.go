package deliver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/nusku-messaging/nusku/protocol"
)

// Engine delivers the messages of one pool to the durable subscribers that it has leases for. Its methods are safe for
// concurrent use.
type Engine struct {
	backend   Backend
	endpoints *Endpoints
	cfg       Config
	opt       Options
	counts    counters
	hints     hints
	// faultLog keeps a database that is away from filling the log, and lossLog a subscriber that takes nothing: what was
	// given up is among the dead deliveries.
	faultLog, lossLog rate.Sometimes

	// taking ends when the engine is stopped, working when what is under way is cut too, upkeep at the very end.
	taking, working, upkeep             context.Context
	stopTaking, stopWorking, stopUpkeep context.CancelFunc
	loops, keepers, runs                sync.WaitGroup
	started, stopped                    sync.Once

	leaseNow, renewNow, pollNow, clockNow, saveNow signal

	mu       sync.Mutex
	stopping bool
	streams  map[uuid.UUID]*stream
	byQueue  map[int64]set
	byKey    map[protocol.QueueKey]set
	waits    waitHeap
	dirty    set
}

// set is a set of streams.
type set map[*stream]struct{}

// Options are what an engine works with beside its settings.
type Options struct {
	// RequireConfirmation delivers to confirmed subscribers only, and has the others asked.
	RequireConfirmation bool
	// Confirmer makes the content of requests for confirmation; needed with RequireConfirmation.
	Confirmer Confirmer
	Log       zerolog.Logger
}

// signal says that there is something to do; said twice it is done once.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// New returns an engine that is not started. The error is about cfg.
func New(backend Backend, endpoints *Endpoints, cfg Config, opt Options) (*Engine, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if opt.RequireConfirmation && opt.Confirmer == nil {
		return nil, fmt.Errorf("deliver: confirmation is required, but nothing makes its content")
	}
	e := &Engine{
		backend: backend, endpoints: endpoints, cfg: cfg, opt: opt,
		faultLog: rate.Sometimes{Interval: 5 * time.Second}, lossLog: rate.Sometimes{First: 10, Interval: time.Second},
		leaseNow: newSignal(), renewNow: newSignal(), pollNow: newSignal(), clockNow: newSignal(), saveNow: newSignal(),
		streams: make(map[uuid.UUID]*stream), byQueue: make(map[int64]set), byKey: make(map[protocol.QueueKey]set),
		dirty: make(set),
	}
	e.hints.init()
	// The engine's life is bounded by Stop, not by a caller's context.
	e.upkeep, e.stopUpkeep = context.WithCancel(context.Background())
	e.working, e.stopWorking = context.WithCancel(e.upkeep)
	e.taking, e.stopTaking = context.WithCancel(e.working)
	return e, nil
}

// Start begins to take subscriptions and to deliver to them. It returns at once; calls after the first do nothing.
func (e *Engine) Start() {
	e.started.Do(func() {
		e.loops.Go(e.leaseLoop)
		e.loops.Go(e.pollLoop)
		e.loops.Go(e.hintLoop)
		e.loops.Go(e.clockLoop)
		e.keepers.Go(e.renewLoop)
		e.keepers.Go(e.saveLoop)
	})
}

// Stop takes no new work, lets requests that are under way end until ctx does, saves how far deliveries have come and
// gives the leases back. All goroutines have ended when it returns. Calls after the first do nothing.
func (e *Engine) Stop(ctx context.Context) {
	e.stopped.Do(func() {
		e.mu.Lock()
		e.stopping = true
		e.mu.Unlock()
		e.stopTaking()
		e.loops.Wait()
		e.endpoints.detach(e)

		ended := context.AfterFunc(ctx, e.stopWorking)
		e.runs.Wait()
		ended()
		e.stopUpkeep()
		e.keepers.Wait()
		// ctx may be over; a second is enough when the database is well, and when it is not, the leases run out.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		e.saveAll(last)
		e.releaseAll(last)
	})
}

// releaseAll gives all leases back.
func (e *Engine) releaseAll(ctx context.Context) {
	e.mu.Lock()
	leases := make([]protocol.Lease, 0, len(e.streams))
	for _, s := range e.streams {
		leases = append(leases, s.lease)
		e.forget(s)
	}
	e.mu.Unlock()
	for len(leases) > 0 {
		n := min(len(leases), e.cfg.LeaseBatch)
		if err := e.backend.ReleaseDurable(ctx, leases[:n]); err != nil {
			e.opt.Log.Warn().Err(err).Msg("leases of subscriptions not given back; they run out")
			return
		}
		leases = leases[n:]
	}
}

// query bounds one use of the database.
func (e *Engine) query(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.cfg.QueryTimeout)
}

// fault logs that the database did not do what was asked.
func (e *Engine) fault(err error, doing string) {
	if e.taking.Err() != nil {
		return
	}
	e.faultLog.Do(func() { e.opt.Log.Warn().Err(err).Msgf("cannot %s; trying again", doing) })
}
