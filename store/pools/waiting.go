package pools

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// hop is an operation with a Waiter on its way to a store.
type hop interface {
	to(st *store.Store)
	// refuse ends the operation with an error. It must not be called from within the call that brought it.
	refuse(err error)
	key() protocol.QueueKey
	deadline() time.Time
	// ordered says whether operations of this kind must not overtake one another.
	ordered() bool
	cost() (rows, bytes int)
}

// waiting is where operations wait for a pool that is just being opened, for Config.OpenWait at most; those of a pool
// that is away are refused. It is bounded as the posts of a store are. A goroutine of its own answers them, so that
// nobody's own call does.
type waiting struct {
	r    *Router
	wake chan struct{} // holds a token: there may be something to do

	mu          sync.Mutex
	parked      []parked
	refused     []refusal
	rows, bytes int
	closed      bool
}

// parked is an operation that waits for a pool.
type parked struct {
	hop
	pool  int64
	until time.Time
}

// refusal is an operation that failed, and why.
type refusal struct {
	hop
	pool int64
	err  error
}

func newWaiting(r *Router) *waiting { return &waiting{r: r, wake: make(chan struct{}, 1)} }

// signal wakes who waits on a channel of capacity 1; signals merge.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send hands an operation to the store of a pool. It never blocks. A post's Waiter is never told from within.
func (r *Router) send(pool int64, h hop) { r.sendVia(r.members.Load().byID[pool], pool, h) }

// sendVia is send to what the pool is at the moment; nil if it is not known.
func (r *Router) sendVia(m *member, pool int64, h hop) {
	if m != nil {
		if st := m.store.Load(); st != nil {
			h.to(st)
			return
		}
	}
	if st := r.waiting.add(pool, h); st != nil {
		h.to(st)
	}
}

// add lets an operation wait, or refuses it. It returns the pool's store if that has just come; one that is ordered has
// then been handed over.
func (w *waiting) add(pool int64, h hop) *store.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer signal(w.wake)
	m := w.r.members.Load().byID[pool]
	if m != nil {
		if st := m.store.Load(); st != nil {
			if !h.ordered() {
				return st
			}
			h.to(st)
			return nil
		}
	}
	rows, bytes := h.cost()
	switch {
	case w.closed:
		w.refused = append(w.refused, refusal{h, pool, protocol.ErrStopping})
	case m != nil && m.wasTried():
		w.refused = append(w.refused, refusal{h, pool, away(m.row.Name)})
	case w.rows > 0 && (w.rows+rows > w.r.base.PostWaitRows || w.bytes+bytes > w.r.base.PostWaitBytes):
		w.refused = append(w.refused, refusal{h, pool, protocol.ErrOverloaded})
	default:
		if m == nil {
			w.r.Hint(pool)
		}
		until := time.Now().Add(w.r.cfg.OpenWait)
		if d := h.deadline(); !d.IsZero() && d.Before(until) {
			until = d
		}
		w.parked = append(w.parked, parked{h, pool, until})
		w.rows, w.bytes = w.rows+rows, w.bytes+bytes
	}
	return nil
}

// away is the error of operations on a pool that is not open.
func away(name string) error {
	return fmt.Errorf("%w: pool %s is not open", protocol.ErrUnavailable, name)
}

// opened hands what waits for a pool to its store, and makes the store known.
func (w *waiting) opened(m *member, st *store.Store) {
	var later []hop
	w.mu.Lock()
	w.parked = slices.DeleteFunc(w.parked, func(p parked) bool {
		if p.pool != m.row.ID {
			return false
		}
		w.leaveLocked(p)
		if p.ordered() {
			p.to(st)
		} else {
			later = append(later, p.hop)
		}
		return true
	})
	m.store.Store(st)
	w.mu.Unlock()
	for _, h := range later {
		h.to(st)
	}
}

func (w *waiting) leaveLocked(p parked) {
	rows, bytes := p.cost()
	w.rows, w.bytes = w.rows-rows, w.bytes-bytes
}

// waitTick is how often the waiting operations are looked through.
const waitTick = 50 * time.Millisecond

// run refuses what must not wait any longer, until close, and then everything.
func (w *waiting) run() {
	timer := time.NewTimer(waitTick)
	defer timer.Stop()
	for {
		refused, some, closed := w.collect(time.Now())
		for _, f := range refused {
			if w.r.members.Load().byID[f.pool] == nil { // perhaps there is no such pool any more
				w.r.routes.forget(f.key(), f.pool)
			}
			f.refuse(f.err)
		}
		if closed && len(refused) == 0 {
			return
		}
		if len(refused) > 0 {
			continue // who is refused may have been replaced by those behind it
		}
		if some {
			timer.Reset(waitTick)
		} else {
			timer.Stop()
		}
		select {
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// collect takes out what is to be refused. It says whether something still waits.
func (w *waiting) collect(now time.Time) (refused []refusal, some, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	refused, w.refused = w.refused, nil
	list := w.r.members.Load()
	w.parked = slices.DeleteFunc(w.parked, func(p parked) bool {
		m := list.byID[p.pool]
		err := error(nil)
		switch {
		case w.closed:
			err = protocol.ErrStopping
		case m != nil && m.wasTried():
			err = away(m.row.Name)
		case !now.Before(p.until):
			err = fmt.Errorf("%w: pool %d is not open", protocol.ErrUnavailable, p.pool)
		default:
			return false
		}
		w.leaveLocked(p)
		refused = append(refused, refusal{p.hop, p.pool, err})
		return true
	})
	return refused, len(w.parked) > 0, w.closed
}

// close refuses everything from now on.
func (w *waiting) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	signal(w.wake)
}
