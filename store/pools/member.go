package pools

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// memberList is the pools as the Router last read them.
type memberList struct {
	// only is the default pool's store where there is no other pool, else nil.
	only   *store.Store
	byID   map[int64]*member
	others []*member // without the default pool, in the order of their names
}

// member is a pool of the Router.
type member struct {
	r   *Router
	row store.PoolRow

	// store is nil while the pool is not open. It is set under the lock of Router.waiting, so that what waits for it goes
	// first.
	store atomic.Pointer[store.Store]
	// tried is closed when the pool was opened, or the first try has failed.
	tried    chan struct{}
	tryOnce  sync.Once
	attached Attachment // set before store is, and read after its end
	// sick says that the pool is open and that its database does not answer, as far as is known.
	sick  atomic.Bool
	doubt chan struct{} // asks watch to find out; has room for one
	// well ends when the pool is found to be sick, and is another one once it answers again.
	well atomic.Pointer[spell]

	// cancel ends run, which closes ended when it has returned; drain bounds how long the store may take to stop.
	cancel context.CancelFunc
	ctx    context.Context
	ended  chan struct{}
	drain  atomic.Pointer[context.Context]
}

// openMember is the default pool.
func (r *Router) openMember(st *store.Store) *member {
	m := &member{
		r: r, row: store.PoolRow{Pool: protocol.Pool{Name: protocol.DefaultPool}}, ctx: r.work,
		tried: make(chan struct{}), doubt: make(chan struct{}, 1),
	}
	m.well.Store(newSpell(m.ctx))
	m.store.Store(st)
	m.noteTried()
	return m
}

// newMember is a pool that run will open.
func (r *Router) newMember(row store.PoolRow) *member {
	m := &member{r: r, row: row, tried: make(chan struct{}), doubt: make(chan struct{}, 1), ended: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(r.work)
	m.well.Store(newSpell(m.ctx))
	return m
}

func (r *Router) startMember(m *member) { r.running.Go(m.run) }

// noteTried says that there was a try: what waits for the pool is taken by it, or refused.
func (m *member) noteTried() {
	m.tryOnce.Do(func() { close(m.tried) })
	if m.r != nil {
		signal(m.r.waiting.wake)
	}
}

// await waits until the pool was tried, or ctx ends.
func (m *member) await(ctx context.Context) {
	select {
	case <-m.tried:
	case <-ctx.Done():
	}
}

// wasTried says whether the pool was tried.
func (m *member) wasTried() bool {
	select {
	case <-m.tried:
		return true
	default:
		return false
	}
}

// run opens the pool, trying again until it can, watches it, and closes it when the member is closed.
func (m *member) run() {
	defer close(m.ended)
	log := m.r.log.With().Str("pool", m.row.Name).Logger()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = m.r.cfg.RetryMin, m.r.cfg.RetryMax
	var st *store.Store
	for st == nil {
		var err error
		if st, err = m.open(m.ctx); err != nil {
			m.noteTried()
			if m.ctx.Err() != nil {
				return
			}
			log.Warn().Err(err).Str("uri", protocol.ShownURI(m.row.URI)).Msg("the pool cannot be opened; trying again")
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(pause.NextBackOff()):
			}
		}
	}
	m.r.waiting.opened(m, st)
	m.noteTried()
	log.Info().Msg("the pool is open")
	m.r.finishRemovals(m.ctx, []int64{m.row.ID}, 0)
	m.watch(st)
	m.shut(st)
}

// open makes one attempt.
func (m *member) open(ctx context.Context) (*store.Store, error) {
	attempt, cancel := context.WithTimeout(ctx, m.r.cfg.ConnectTimeout)
	defer cancel()
	url, err := m.r.address(attempt, m.row.URI, false)
	if err != nil {
		return nil, err
	}
	listen := url
	if m.row.ListenURI != "" {
		if listen, err = m.r.address(attempt, m.row.ListenURI, false); err != nil {
			return nil, err
		}
	}
	if err := m.r.checkOurs(attempt, listen, m.row.ID); err != nil {
		return nil, err
	}
	if err := store.Migrate(attempt, listen, m.r.log); err != nil {
		return nil, err
	}
	cfg := m.r.base
	cfg.DatabaseURL, cfg.PoolID, cfg.MaxConns = url, m.row.ID, m.r.cfg.MaxConns
	st, err := store.Open(attempt, cfg, m.r.log.With().Str("pool", m.row.Name).Logger())
	if err != nil {
		return nil, err
	}
	st.SetPlacement(m.r)
	m.attached, err = m.r.attach(Attached{Name: m.row.Name, Store: st, ListenURL: listen})
	if err != nil {
		st.Stop(attempt)
		return nil, fmt.Errorf("attach: %w", err)
	}
	st.Start()
	return st, nil
}

// checkOurs fails unless the database is the pool with that id: what is in another one is not to be touched.
func (r *Router) checkOurs(ctx context.Context, url string, id int64) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was written
	in, err := store.ReadInstalled(ctx, conn)
	switch {
	case errors.Is(err, protocol.ErrPoolExists), err == nil && (in == nil || *in != store.Installed{Catalogue: r.id, Pool: id}):
		return errors.New("the database is not the pool's: was it replaced?")
	}
	return err
}

// close ends the member and waits for it. When ctx ends first, what its store still does is cut off.
func (m *member) close(ctx context.Context) {
	m.drain.Store(&ctx)
	m.cancel()
	<-m.ended
}

// shut stops the store.
func (m *member) shut(st *store.Store) {
	ctx := context.WithoutCancel(m.ctx)
	if drain := m.drain.Load(); drain != nil {
		ctx = *drain
	}
	m.store.Store(nil)
	m.detach(ctx, m.attached.Drain)
	st.Stop(ctx)
	m.detach(ctx, m.attached.Detach)
}

func (m *member) detach(ctx context.Context, what func(context.Context)) {
	if what != nil {
		what(ctx)
	}
}
