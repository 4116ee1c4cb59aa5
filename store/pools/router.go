package pools

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Router is the store of all pools. Its methods may be called concurrently once Start was called.
type Router struct {
	cfg      Config
	base     store.Config // of every pool, but for what differs
	embedded Embedded
	log      zerolog.Logger

	first     *store.Store // of the default pool
	listenURL string       // of the default pool
	catalogue *store.Catalogue
	id        uuid.UUID // the catalogue's

	// members are the pools, replaced as a whole by the manager.
	members atomic.Pointer[memberList]
	routes  *routes
	ids     *queueIDs
	waiting *waiting
	attach  Attach

	kick chan struct{} // asks the manager to read the list of pools; has room for one
	// read is closed and replaced whenever the manager has read the list.
	readMu sync.Mutex
	read   chan struct{}

	work    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	stop    sync.Once
	started atomic.Bool
}

// Parts are what a Router needs beside its settings.
type Parts struct {
	// Store are the settings of the stores, with the URL of the default pool.
	Store store.Config
	// ListenURL is a direct connection to the default pool, for Attach; "" is Store.DatabaseURL.
	ListenURL string
	// Embedded makes the databases of pools with an embedded URI; nil refuses those.
	Embedded Embedded
}

// Embedded returns the address of a database of the private PostgreSQL, which it makes if it is missing and create is set.
type Embedded func(ctx context.Context, name string, create bool) (url string, err error)

// Attached is a pool that was opened.
type Attached struct {
	// Name is the pool's, protocol.DefaultPool for the default one.
	Name string
	// Store is not started yet: its observer may be set.
	Store *store.Store
	// ListenURL is a direct connection to its database.
	ListenURL string
}

// Attachment is what was attached to a pool.
type Attachment struct {
	// Drain is called before the store is stopped, Detach after it; nil is nothing. Both return when what was attached no
	// longer uses the store, or, at the latest, when their context ends.
	Drain, Detach func(context.Context)
}

// Attach is called for each pool that is opened, the default one included, before its store starts, from different
// goroutines. After an error the pool is closed and tried again.
type Attach func(Attached) (Attachment, error)

// Open connects to the default pool, whose schema must be there: see store.Migrate. While its database is away, Open tries
// again until ctx ends. A Router that was opened must be stopped.
func Open(ctx context.Context, cfg Config, parts Parts, log zerolog.Logger) (*Router, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	first, err := store.Open(ctx, parts.Store, log)
	if err != nil {
		return nil, err
	}
	r := &Router{
		cfg: cfg, base: parts.Store, embedded: parts.Embedded, log: log,
		first: first, listenURL: parts.ListenURL, catalogue: first.Catalogue(),
		routes: newRoutes(cfg.Routes), ids: newQueueIDs(cfg.Routes),
		kick: make(chan struct{}, 1), read: make(chan struct{}),
	}
	if r.listenURL == "" {
		r.listenURL = parts.Store.DatabaseURL
	}
	// The work outlives ctx, which bounds only Open.
	r.work, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.waiting = newWaiting(r)
	r.members.Store(&memberList{only: first, byID: map[int64]*member{0: r.openMember(first)}})
	first.SetPlacement(r)
	if r.id, err = r.catalogue.Identify(ctx); err == nil {
		err = r.reload(ctx)
	}
	if err != nil {
		r.Stop(ctx)
		return nil, fmt.Errorf("open pools: %w", err)
	}
	return r, nil
}

// Default returns the store of the default pool.
func (r *Router) Default() *store.Store { return r.first }

// Start starts all background work. It returns when each pool was opened or found to be away, after Config.OpenWait at
// the latest. attach may be nil. Call it once.
func (r *Router) Start(attach Attach) error {
	if attach == nil {
		attach = func(Attached) (Attachment, error) { return Attachment{}, nil }
	}
	r.attach = attach
	attached, err := attach(Attached{Name: protocol.DefaultPool, Store: r.first, ListenURL: r.listenURL})
	if err != nil {
		return fmt.Errorf("attach to the default pool: %w", err)
	}
	list := r.members.Load()
	list.byID[0].attached = attached
	r.started.Store(true)
	r.first.Start()
	r.running.Go(r.waiting.run)
	r.running.Go(func() { list.byID[0].watch(r.first) })
	for _, m := range list.others {
		r.startMember(m)
	}
	r.running.Go(r.manage)
	ctx, cancel := context.WithTimeout(r.work, r.cfg.OpenWait)
	defer cancel()
	for _, m := range list.others {
		m.await(ctx)
	}
	return nil
}

// Stop takes nothing new, finishes what is under way in all pools at once, the default one last, and closes all
// connections. When ctx ends first, the rest is cut off. It waits for every goroutine. Calling it again is fine.
func (r *Router) Stop(ctx context.Context) {
	r.stop.Do(func() {
		list := r.members.Load()
		for _, m := range list.others {
			m.drain.Store(&ctx) // before the end of work has them stop
		}
		r.cancel()
		r.waiting.close()
		r.running.Wait()
		first := list.byID[0]
		first.detach(ctx, first.attached.Drain)
		r.first.Stop(ctx)
		first.detach(ctx, first.attached.Detach)
	})
}

// Ping says whether the default pool's database, with the catalogue, answers.
func (r *Router) Ping(ctx context.Context) error { return r.first.Ping(ctx) }

// Secret returns 32 random bytes that all gateways share under a name; the default pool keeps them.
func (r *Router) Secret(ctx context.Context, name string) ([]byte, error) {
	return r.first.Secret(ctx, name)
}
