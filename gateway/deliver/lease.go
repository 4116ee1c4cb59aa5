package deliver

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// leaseLoop takes subscriptions that nobody delivers for.
func (e *Engine) leaseLoop() {
	ticker := time.NewTicker(e.cfg.LeaseInterval)
	defer ticker.Stop()
	for {
		for e.leaseSome() {
		}
		select {
		case <-e.taking.Done():
			return
		case <-ticker.C:
		case <-e.leaseNow:
		}
	}
}

// leaseSome takes one batch, and says whether there may be more.
func (e *Engine) leaseSome() bool {
	e.mu.Lock()
	room := min(e.cfg.LeaseBatch, e.cfg.MaxSubscriptions-len(e.streams))
	e.mu.Unlock()
	if room <= 0 || e.taking.Err() != nil {
		return false
	}
	ctx, cancel := e.query(e.taking)
	defer cancel()
	start := time.Now() // so that the lease never lasts longer here than in the database
	list, err := e.backend.LeaseDurable(ctx, room, e.cfg.Lease, !e.opt.RequireConfirmation)
	if err != nil {
		e.fault(err, "lease subscriptions")
		return false
	}
	until := start.Add(e.cfg.Lease)
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range list {
		e.adopt(&list[i], until)
	}
	if len(list) > 0 {
		e.pollNow.set()
	}
	return len(list) == room
}

// adopt makes a stream for a subscription that was leased. Requires mu.
func (e *Engine) adopt(d *protocol.Durable, until time.Time) {
	if old := e.streams[d.ID]; old != nil {
		e.drop(old)
		if e.streams[d.ID] != nil { // its run has not ended: two must not send at a time
			old.successor, old.successorUntil = d, until
			return
		}
	}
	s := newStream(e, d, until)
	e.streams[d.ID] = s
	e.watch(s)
	switch {
	case d.Wait > 0 && !d.Resends && !d.Confirm:
		e.pause(s, time.Now().Add(d.Wait))
	case d.QueueID == 0 || d.Resends || d.Confirm || d.Attempts > 0:
		e.wake(s)
	} // else the poll that follows finds what is behind
}

// drop gives up a stream: its lease is lost, or was given back. A run that is under way is cut short and the stream
// forgotten at its end. Requires mu.
func (e *Engine) drop(s *stream) {
	s.dropped = true
	s.cut(protocol.ErrLeaseLost)
	if s.state != running && !s.saving {
		e.forget(s)
	}
}

// forget removes a stream. Requires mu.
func (e *Engine) forget(s *stream) {
	s.dropped = true
	s.cut(protocol.ErrLeaseLost)
	if s.state == waiting {
		e.waits.remove(s)
	}
	s.state = idle
	e.endpoints.leave(s.turn)
	e.unwatch(s)
	delete(e.dirty, s)
	delete(e.streams, s.lease.ID)
	if s.successor != nil && !e.stopping {
		e.adopt(s.successor, s.successorUntil)
	}
}

// renewLoop renews the leases at a third of their time, and sooner after a failure.
func (e *Engine) renewLoop() {
	timer := time.NewTimer(e.cfg.Lease / 3)
	defer timer.Stop()
	for {
		select {
		case <-e.upkeep.Done():
			return
		case <-timer.C:
		case <-e.renewNow:
		}
		pause := e.cfg.Lease / 3
		if !e.renewAll() {
			pause /= 8
		}
		timer.Reset(pause)
	}
}

// renewAll renews all leases, and says whether the database took part.
func (e *Engine) renewAll() bool {
	e.mu.Lock()
	all := make([]*stream, 0, len(e.streams))
	for _, s := range e.streams {
		if !s.dropped {
			all = append(all, s)
		}
	}
	e.mu.Unlock()
	ok := true
	for batch := range slices.Chunk(all, e.cfg.LeaseBatch) {
		ok = e.renew(batch) && ok
	}
	return ok
}

// renew renews a batch of leases; the streams whose lease is lost are dropped.
func (e *Engine) renew(batch []*stream) bool {
	leases := make([]protocol.Lease, len(batch))
	for i, s := range batch {
		leases[i] = s.lease
	}
	ctx, cancel := e.query(e.upkeep)
	defer cancel()
	start := time.Now()
	states, err := e.backend.RenewDurable(ctx, leases, e.cfg.Lease)
	if err != nil {
		e.fault(err, "renew the leases of subscriptions")
		return false
	}
	versions := make(map[uuid.UUID]int64, len(states))
	for _, state := range states {
		versions[state.ID] = state.Version
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range batch {
		version, held := versions[s.lease.ID]
		e.renewed(s, held, version, start.Add(e.cfg.Lease))
	}
	return true
}

// renewed takes the result of a renewal. Requires mu.
func (e *Engine) renewed(s *stream, held bool, version int64, until time.Time) {
	switch {
	case s.dropped:
		return
	case !held:
		e.drop(s)
		return
	}
	s.until = until
	if version != s.version {
		s.reread = true
	}
	if s.reread || s.stalled {
		s.stalled = false
		e.wakeNow(s)
	}
}

// release gives one lease back. If that fails it runs out.
func (e *Engine) release(l protocol.Lease) {
	ctx, cancel := e.query(e.working)
	defer cancel()
	if err := e.backend.ReleaseDurable(ctx, []protocol.Lease{l}); err != nil {
		e.fault(err, "give back the lease of a subscription")
	}
}
