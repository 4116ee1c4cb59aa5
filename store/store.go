package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// Observer is told what this gateway changed, so that its own subscribers need not wait for a notification. Its
// methods are called from goroutines of the store, must not block and must not call the store.
type Observer interface {
	// Committed is called after a commit and before any Waiter of its posts is told, one call at a time. The batch is
	// valid only during the call.
	Committed(batch []protocol.Committed)
	// QueueChanged is called after a queue was made, deleted, purged or given other metadata.
	QueueChanged(q protocol.QueueKey, queueID int64)
	// Released is called after messages below what other gateways believe to be the first free one became free; seq is
	// the lowest.
	Released(q protocol.QueueKey, queueID, seq int64)
}

// nobody is the observer of a store that has none.
type nobody struct{}

func (nobody) Committed([]protocol.Committed)           {}
func (nobody) QueueChanged(protocol.QueueKey, int64)    {}
func (nobody) Released(protocol.QueueKey, int64, int64) {}

// Store keeps queues, messages, claims and subscriptions in one PostgreSQL database. All methods may be called from
// any goroutine once Start was called.
type Store struct {
	cfg      Config
	log      zerolog.Logger
	pool     *pgxpool.Pool
	id       uuid.UUID
	slot     atomic.Int64 // see writer
	observer Observer
	// placement is nil where there is one pool only.
	placement Placement
	cache     *queueCache

	// committing makes the calls of Observer.Committed come one at a time: both flusher and promoter commit messages.
	committing sync.Mutex

	posts    *posts
	flusher  *flusher
	claims   *claimer
	deletes  *deletes
	promoter *promoter
	sweeper  *sweeper
	member   *membership
	claimed  *claimedCounts

	// work ends when the store has drained, or when its time to drain is over.
	work   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stop   sync.Once
}

// Writers of queue_count within one gateway. Each has rows of its own, so that none waits for another.
const (
	writerClaims     = iota // the claimer
	writerDeletes           // the delete coalescer
	writerPop               // pops
	writerDeadLetter        // the mover of dead letters
	writerSweep             // the sweeper
	writerFlush             // the flusher
	writerPromote           // the promoter
	writersPerSlot   = 8
)

// writer returns the slot of queue_count that the given writer of this gateway uses now. It changes when the gateway
// was taken for dead, so ask again for each statement.
func (s *Store) writer(k int64) int64 { return s.slot.Load()*writersPerSlot + k }

// Open connects to the database and registers this gateway there. While the database is away it tries again until ctx
// ends. The schema must be there: see Migrate. A store that was opened must be stopped.
func Open(ctx context.Context, cfg Config, log zerolog.Logger) (*Store, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	connConfig, err := flushConnConfig(&cfg)
	if err != nil {
		return nil, err
	}
	// The pool and all background work outlive ctx, which bounds only Open.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	pool, err := newPool(work, &cfg)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: log, pool: pool, id: uuid.New(), observer: nobody{}, work: work, cancel: cancel,
		cache: newQueueCache(cfg.QueueCacheSize, cfg.QueueCacheAge),
	}
	s.posts = newPosts(s)
	s.flusher = newFlusher(s, connConfig)
	s.promoter = newPromoter(s)
	s.sweeper = newSweeper(s)
	s.member = newMembership(s)
	s.claimed = newClaimedCounts(s)
	s.claims = newClaims(s)
	s.deletes = newDeletes(s)
	if err := s.member.join(ctx); err != nil {
		cancel()
		pool.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// SetObserver sets who is told of changes. Call it before Start.
func (s *Store) SetObserver(o Observer) { s.observer = o }

// GatewayID returns the id under which this process is registered in the database. It is a new one for each Open.
func (s *Store) GatewayID() uuid.UUID { return s.id }

// Start starts the background work and returns at once. Call it once.
func (s *Store) Start() {
	s.posts.start()
	s.flusher.start()
	s.claims.start(s.work)
	s.deletes.start(s.work)
	s.wg.Go(func() { s.promoter.run(s.work) })
	s.wg.Go(func() { s.sweeper.run(s.work) })
	s.wg.Go(func() { s.member.run(s.work) })
}

// Stop takes nothing new, finishes what waits and what is under way, and closes all connections. When ctx ends first,
// the rest is cut off and answered with protocol.ErrStopping or ErrOutcomeUnknown. It waits for every goroutine of the
// store. Calling it again, or without Start, is fine.
func (s *Store) Stop(ctx context.Context) {
	s.stop.Do(func() {
		cut := context.AfterFunc(ctx, func() {
			s.cancel()
			s.flusher.cut()
		})
		defer cut()
		s.posts.drain()
		s.claims.stop()
		s.deletes.stop()
		s.flusher.wait()
		s.cancel()
		s.posts.close()
		s.wg.Wait()
		s.member.leave(ctx)
		s.pool.Close()
	})
}

// committed tells the observer of a commit.
func (s *Store) committed(batch []protocol.Committed) {
	if len(batch) == 0 {
		return
	}
	s.committing.Lock()
	defer s.committing.Unlock()
	s.observer.Committed(batch)
	s.claims.committed(batch)
}

// HintQueueChanged says that another gateway made, deleted, purged or changed a queue.
func (s *Store) HintQueueChanged(key protocol.QueueKey) {
	s.cache.forget(key)
	if s.placement != nil && key == PoolsChanged {
		s.placement.Hint(0)
	}
}

// PoolsChanged is the name of no queue: a change of it, told like a queue's, says that pools were made, changed or
// deleted.
var PoolsChanged = protocol.QueueKey{Name: "pools:"}

// TellPoolsChanged has the observer tell the other gateways that pools were made, changed or deleted.
func (s *Store) TellPoolsChanged() { s.observer.QueueChanged(PoolsChanged, 0) }
