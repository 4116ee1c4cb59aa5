package pools

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Hint makes the manager read the list of pools if there is one with that id that it does not know, or if the id is 0. It
// is for store.Placement.
func (r *Router) Hint(pool int64) {
	if pool == 0 || r.members.Load().byID[pool] == nil {
		signal(r.kick)
	}
}

// tidyEvery is after how many polls what is old is thrown away.
const tidyEvery = 20

// manage keeps the list of pools up to date and finishes what was left half done, until the Router stops.
func (r *Router) manage() {
	ticker := time.NewTicker(r.cfg.Poll)
	defer ticker.Stop()
	failed := false
	for polls := 1; ; polls++ {
		select {
		case <-r.work.Done():
			return
		case <-r.kick:
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(r.work, r.cfg.ConnectTimeout)
		err := r.reload(ctx)
		if err != nil && !failed && r.work.Err() == nil {
			r.log.Warn().Err(err).Msg("the catalogue of pools cannot be read; those that are known go on")
		}
		failed = err != nil
		if err == nil {
			r.finishRemovals(ctx, r.answering(), removalAge)
		}
		if err == nil && polls%tidyEvery == 0 {
			r.tidy(ctx)
		}
		cancel()
	}
}

// reload reads the list of pools, opens those that are new, and closes those that are gone or have moved.
func (r *Router) reload(ctx context.Context) error {
	rows, err := r.catalogue.AllPools(ctx)
	if err != nil {
		return fmt.Errorf("read the list of pools: %w", err)
	}
	old := r.members.Load()
	list := &memberList{byID: map[int64]*member{0: old.byID[0]}}
	var fresh []*member
	for _, row := range rows {
		m := old.byID[row.ID]
		if m == nil || m.row.URI != row.URI || m.row.ListenURI != row.ListenURI {
			m = r.newMember(row)
			fresh = append(fresh, m)
		}
		list.byID[row.ID] = m
		list.others = append(list.others, m)
	}
	slices.SortFunc(list.others, func(a, b *member) int { return strings.Compare(a.row.Name, b.row.Name) })
	if len(list.others) == 0 {
		list.only = r.first
	}
	r.members.Store(list)
	for _, m := range old.others {
		if list.byID[m.row.ID] != m {
			r.retire(m)
		}
	}
	if r.started.Load() {
		for _, m := range fresh {
			r.startMember(m)
		}
	}
	r.readMu.Lock()
	close(r.read)
	r.read = make(chan struct{})
	r.readMu.Unlock()
	return nil
}

// retireTimeout is how long the store of a pool that was deleted or has moved may take to finish what it has.
const retireTimeout = 30 * time.Second

// retire closes a member in the background.
func (r *Router) retire(m *member) {
	if !r.started.Load() {
		return // it was never run
	}
	r.running.Go(func() {
		// Also while the Router stops, which waits for it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), retireTimeout)
		defer cancel()
		m.close(ctx)
	})
}

// awaitRead waits until the list of pools was read once more, or ctx ends.
func (r *Router) awaitRead(ctx context.Context) {
	r.readMu.Lock()
	read := r.read
	r.readMu.Unlock()
	signal(r.kick)
	select {
	case <-read:
	case <-ctx.Done():
	case <-r.work.Done():
	}
}

// storeOf returns the store of a pool. It waits a little for one that was just made. It returns protocol.ErrNoPool, or
// ErrUnavailable if the pool is not open, or is known not to answer: whoever waited for it would wait in the way of those
// who want something of another pool.
func (r *Router) storeOf(ctx context.Context, pool int64) (*store.Store, error) {
	list := r.members.Load()
	m := list.byID[pool]
	if m == nil {
		wait, cancel := context.WithTimeout(ctx, r.cfg.OpenWait)
		defer cancel()
		r.awaitRead(wait)
		if m = r.members.Load().byID[pool]; m == nil {
			return nil, fmt.Errorf("%w: id %d", protocol.ErrNoPool, pool)
		}
	}
	if st := m.store.Load(); st != nil {
		if list.only == nil && m.sick.Load() {
			return nil, fmt.Errorf("%w: pool %s does not answer", protocol.ErrUnavailable, m.row.Name)
		}
		return st, nil
	}
	wait, cancel := context.WithTimeout(ctx, r.cfg.OpenWait)
	defer cancel()
	m.await(wait)
	if st := m.store.Load(); st != nil {
		return st, nil
	}
	return nil, away(m.row.Name)
}

// openPools returns the ids of the other pools that are open.
func (r *Router) openPools() (ids []int64) {
	for _, m := range r.members.Load().others {
		if m.store.Load() != nil {
			ids = append(ids, m.row.ID)
		}
	}
	return ids
}

// answering returns the ids of the other pools that are open and answer, as far as is known.
func (r *Router) answering() (ids []int64) {
	for _, m := range r.members.Load().others {
		if m.store.Load() != nil && !m.sick.Load() {
			ids = append(ids, m.row.ID)
		}
	}
	return ids
}

// tidyRows bounds what one tidying removes of each kind.
const tidyRows = 1000

// tidy throws away what is old.
func (r *Router) tidy(ctx context.Context) {
	if err := r.catalogue.ForgetHomes(ctx, tidyRows); err != nil {
		r.log.Warn().Err(err).Msg("the catalogue was not tidied")
	}
	failed := r.everywhere(ctx, func(ctx context.Context, st *store.Store) error { return st.ForgetDropped(ctx, tidyRows) })
	for pool, err := range failed {
		r.log.Warn().Err(err).Int64("pool", pool).Msg("the pool was not tidied")
	}
}
