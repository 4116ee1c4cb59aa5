package pools

import (
	"context"
	"fmt"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// pingTimeout is how long a pool may take to say that it is there.
const pingTimeout = 3 * time.Second

// fit says whether a new queue may be placed in the pool: it answers, or there was no try yet to open it.
func (m *member) fit() bool {
	if m.store.Load() != nil {
		return !m.sick.Load()
	}
	return !m.wasTried()
}

// spell is a time in which a pool answers.
type spell struct {
	ctx context.Context
	end context.CancelFunc
}

func newSpell(ctx context.Context) *spell {
	s := &spell{}
	s.ctx, s.end = context.WithCancel(ctx)
	return s
}

// whileWell calls do with a context that ends, at the latest, when the pool is found to be sick. It is for reads in the
// background, of which few run at a time for all pools: those that wait for this one would hold up the others' for as long
// as such a read may take.
func (m *member) whileWell(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	well := m.well.Load()
	defer context.AfterFunc(well.ctx, cancel)()
	err := do(ctx)
	if err != nil && well.ctx.Err() != nil {
		return fmt.Errorf("%w: pool %s does not answer: %w", protocol.ErrUnavailable, m.row.Name, err)
	}
	return err
}

// suspect has the pool asked at once, as an operation on it has just failed.
func (m *member) suspect() {
	if m.r != nil && !m.sick.Load() {
		signal(m.doubt)
	}
}

// watch asks the pool every Config.Ping, and whenever it is suspected, until the member is closed.
func (m *member) watch(st *store.Store) {
	ticker := time.NewTicker(m.r.cfg.Ping)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.doubt:
		case <-ticker.C:
		}
		m.ping(st)
	}
}

// ping asks the pool once.
func (m *member) ping(st *store.Store) {
	ctx, cancel := context.WithTimeout(m.ctx, pingTimeout)
	defer cancel()
	err := st.Ping(ctx)
	if m.ctx.Err() != nil {
		return // the member is being closed
	}
	if was := m.sick.Swap(err != nil); was == (err != nil) {
		return
	}
	log := m.r.log.With().Str("pool", m.row.Name).Logger()
	if err != nil {
		m.well.Load().end()
		log.Warn().Err(err).Msg("the pool does not answer; new queues go elsewhere")
	} else {
		m.well.Store(newSpell(m.ctx))
		log.Info().Msg("the pool answers again")
	}
}
